"""Tierwise in CrewAI: one LLM over a fleet of them."""

from tierwise_crewai.backend import CrewAIBackend
from tierwise_crewai.llm import RoutedLLM

__all__ = ["CrewAIBackend", "RoutedLLM"]
