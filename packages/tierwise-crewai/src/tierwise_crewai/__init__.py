"""Tierwise in CrewAI: one LLM over a fleet of them."""

from tierwise_crewai.backend import CrewAIBackend
from tierwise_crewai.kickoffs import receipt_of
from tierwise_crewai.llm import RoutedLLM

__all__ = ["CrewAIBackend", "RoutedLLM", "receipt_of"]
