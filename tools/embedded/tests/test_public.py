import tierwise_embedded

PUBLIC = [
    "DEFAULT_MODELS",
    "EmbeddedError",
    "EmbeddedModel",
    "EmbeddedServer",
    "EngineError",
    "HashMismatchError",
    "MODELS",
    "ServerStartError",
    "SpawnedServer",
    "WeightsError",
    "fetch",
    "locate",
    "spawn",
]


def test_the_public_names_are_pinned() -> None:
    assert sorted(tierwise_embedded.__all__) == PUBLIC
    assert all(hasattr(tierwise_embedded, name) for name in PUBLIC)


def test_the_two_smaller_models_are_the_default() -> None:
    assert tierwise_embedded.DEFAULT_MODELS == ("smollm2:135m", "qwen2.5-coder:0.5b")
    assert sum(tierwise_embedded.MODELS[name].size for name in tierwise_embedded.DEFAULT_MODELS) == 589_762_496
