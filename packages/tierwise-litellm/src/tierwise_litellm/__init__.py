"""Cloud models as tiers: the LiteLLM backend of Tierwise. Importing it does not import LiteLLM, which takes seconds."""

from tierwise_litellm.backend import LiteLLMBackend

__all__ = ["LiteLLMBackend"]
