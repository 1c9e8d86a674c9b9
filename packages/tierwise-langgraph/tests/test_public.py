"""What the package offers, and what its import costs."""

import subprocess
import sys

import pytest
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


@pytest.mark.parametrize(
    "use",
    [
        "from tierwise_langgraph import TierwiseMiddleware",
        "from tierwise import Router; from tierwise_langgraph import RoutedChatModel as M;"
        "M(Router.simple(small='ollama:a', large='openai:b'))",
    ],
)
def test_what_needs_langchain_s_agents_says_so(use: str) -> None:
    program = f"import sys; sys.modules['langchain'] = None; {use}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert 'pip install "tierwise-langgraph[agents]"' in done.stderr
