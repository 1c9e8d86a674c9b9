"""Tierwise in LangChain and LangGraph: one chat model over a fleet of them."""

from tierwise_langgraph.backend import LangChainBackend
from tierwise_langgraph.chat import RoutedChatModel

__all__ = ["LangChainBackend", "RoutedChatModel"]
