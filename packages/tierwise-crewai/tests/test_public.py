import tierwise_crewai


def test_the_public_names_are_these() -> None:
    assert sorted(tierwise_crewai.__all__) == [
        "Assignment",
        "Costs",
        "CrewAIBackend",
        "Post",
        "RoutedLLM",
        "assign_models",
        "receipt_of",
    ]
    assert all(hasattr(tierwise_crewai, name) for name in tierwise_crewai.__all__)
