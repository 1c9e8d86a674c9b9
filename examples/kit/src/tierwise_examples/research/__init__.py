"""Research: a question, a folder of documents, and an answer whose every sentence names its lines."""

from tierwise_examples.research.claims import NOT_TOLD, Claim, Lines
from tierwise_examples.research.command import main
from tierwise_examples.research.corpus import Corpus
from tierwise_examples.research.inquiry import Inquiry
from tierwise_examples.research.passages import Passage, Sentence
from tierwise_examples.research.policy import JOBS, MOST_CALLS
from tierwise_examples.research.reports import Report
from tierwise_examples.research.shapes import Queries, Relevant, Supported

__all__ = [
    "Claim",
    "Corpus",
    "Inquiry",
    "JOBS",
    "Lines",
    "MOST_CALLS",
    "NOT_TOLD",
    "Passage",
    "Queries",
    "Relevant",
    "Report",
    "Sentence",
    "Supported",
    "main",
]
