"""Tierwise in LangChain and LangGraph: a routed chat model, middleware for agents, nodes and edges for graphs."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily

from tierwise_langgraph.backend import LangChainBackend
from tierwise_langgraph.chat import RoutedChatModel
from tierwise_langgraph.receipts import receipt_of
from tierwise_langgraph.state import RoutingState, bill

if TYPE_CHECKING:
    from tierwise_langgraph.graph import route_edge, route_node
    from tierwise_langgraph.middleware import TierwiseMiddleware
else:
    # LangGraph and LangChain's agents take a second each to import.
    __getattr__ = lazily(__name__, {"TierwiseMiddleware": "middleware", "route_edge": "graph", "route_node": "graph"})

__all__ = [
    "LangChainBackend",
    "RoutedChatModel",
    "RoutingState",
    "TierwiseMiddleware",
    "bill",
    "receipt_of",
    "route_edge",
    "route_node",
]
