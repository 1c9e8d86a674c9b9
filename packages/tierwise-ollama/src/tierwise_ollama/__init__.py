"""Local models as tiers: the Ollama backend of Tierwise. Importing it loads no HTTP client."""

from tierwise_ollama.backend import OllamaBackend
from tierwise_ollama.catalog import InstalledModel
from tierwise_ollama.pull import PullProgress
from tierwise_ollama.timeouts import Timeouts

__all__ = ["InstalledModel", "OllamaBackend", "PullProgress", "Timeouts"]
