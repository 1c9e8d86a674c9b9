"""The command line of the research agents."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tierwise_examples.cli import Failures, ended, plain_errors, show_bill
from tierwise_examples.ladders import add_arguments, chosen
from tierwise_examples.research.corpus import Corpus
from tierwise_examples.research.embeddings import local_embeddings
from tierwise_examples.research.inquiry import Inquiry
from tierwise_examples.research.reports import Report

__all__ = ["Answer", "answered", "main"]

Answer: TypeAlias = Callable[[Inquiry], Report]
"""A framework's part: works on the inquiry, and gives what `Inquiry.report` made."""


def main(answer: Answer, failures: Failures = (), *, arguments: Sequence[str] | None = None) -> None:
    """Answers a question from the command line, and prints the report and the bill. Exits with 1 without an answer.

    Args:
        answer: The framework's part.
        failures: Exceptions of the framework which say that it gave up.
        arguments: Those of the command line; the process's own if not given.
    """
    from rich.console import Console

    parser = ArgumentParser(description="Answers a question from a folder of documents, and names the lines.")
    parser.add_argument("question")
    parser.add_argument("--docs", metavar="FOLDER", help="the documents; by default those of an invented company")
    parser.add_argument("--embeddings", metavar="MODEL", help="search by meaning too, e.g. ollama:nomic-embed-text")
    add_arguments(parser)
    asked = parser.parse_args(arguments)
    console = Console()
    with plain_errors(), chosen(asked) as ladder:
        embed = local_embeddings(asked.embeddings, url=ladder.url) if asked.embeddings else None
        corpus = Corpus.read(asked.docs, embed=embed) if asked.docs else Corpus.shipped(embed=embed)
        inquiry = Inquiry(asked.question, corpus, ladder)
        report, why = answered(answer, inquiry, failures)
        console.rule("The answer", align="left")
        console.print(str(report) if report is not None else why, markup=False, highlight=False)
        show_bill(console, inquiry.router, ladder)
    if report is None:
        raise SystemExit(1)


def answered(answer: Answer, inquiry: Inquiry, failures: Failures = ()) -> tuple[Report | None, str]:
    """What an agent makes of an inquiry, or why it gave up.

    Args:
        answer: The framework's part.
        inquiry: The question.
        failures: Exceptions of the framework which say that it gave up.
    """
    reports: list[Report] = []
    why = ended(lambda subject: reports.append(answer(subject)), inquiry, failures)
    return (reports[0] if reports else None), why
