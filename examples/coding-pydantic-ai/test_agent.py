from pathlib import Path

from tierwise_examples.conformance import CodingConformance
from tierwise_examples.trials import load_agent


class TestAgent(CodingConformance):
    agent = load_agent(Path(__file__).parent)
