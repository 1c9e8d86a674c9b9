"""What the package offers, and what its import costs."""

import subprocess
import sys

import tierwise_langgraph

NAMES = [
    "LangChainBackend",
    "RoutedChatModel",
    "RoutingState",
    "TierwiseMiddleware",
    "bill",
    "receipt_of",
    "route_edge",
    "route_node",
]


def test_public_names() -> None:
    assert tierwise_langgraph.__all__ == NAMES
    assert all(getattr(tierwise_langgraph, name).__doc__ for name in NAMES)


def test_the_chat_model_imports_neither_graphs_nor_agents() -> None:
    program = "import sys, tierwise_langgraph; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"langgraph", "langchain", "langchain_openai", "langchain_ollama"} & set(done.stdout.split())
