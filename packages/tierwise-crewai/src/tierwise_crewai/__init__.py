"""Tierwise in CrewAI: one LLM over a fleet of them."""

from tierwise_crewai.assign import Assignment, Costs, Post, assign_models
from tierwise_crewai.backend import CrewAIBackend
from tierwise_crewai.kickoffs import receipt_of
from tierwise_crewai.llm import RoutedLLM

__all__ = ["Assignment", "Costs", "CrewAIBackend", "Post", "RoutedLLM", "assign_models", "receipt_of"]
