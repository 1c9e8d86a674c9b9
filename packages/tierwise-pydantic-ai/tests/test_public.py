"""The package's public names."""

import tierwise_pydantic_ai


def test_public_names() -> None:
    assert sorted(tierwise_pydantic_ai.__all__) == [
        "PydanticAIBackend",
        "RoutedModel",
        "RoutingCapability",
        "receipt_of",
    ]
    for name in tierwise_pydantic_ai.__all__:
        assert getattr(tierwise_pydantic_ai, name).__doc__
