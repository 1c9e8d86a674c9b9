from pathlib import Path

from tierwise_examples.conformance import ResearchConformance
from tierwise_examples.trials import load_agent


class TestAgent(ResearchConformance):
    agent = load_agent(Path(__file__).parent)
