from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.testing.provider import LoopbackProvider
from tierwise_examples.research import Corpus
from tierwise_examples.research.embeddings import local_embeddings
from tierwise_examples.research.retrieval import fused


def test_a_passage_is_found_by_other_forms_of_its_words(corpus: Corpus) -> None:
    assert corpus.search(["cleaning a gauge"])[0].place == "tides.md:8-9"


def test_a_passage_is_found_by_its_heading(corpus: Corpus) -> None:
    assert corpus.search(["care"])[0].about == "Tide gauges, Care"


@pytest.mark.parametrize("queries", [[], [""], ["salary"], ["\0"], ["the and of"], ["\N{PILE OF POO}" * 500]])
def test_what_shares_no_word_finds_nothing(corpus: Corpus, queries: list[str]) -> None:
    assert corpus.search(queries) == []


def test_a_search_that_finds_nothing_takes_nothing_from_the_others(corpus: Corpus) -> None:
    assert corpus.search(["panel", "salary"]) == corpus.search(["panel"])


def test_no_more_is_given_than_is_asked_for(corpus: Corpus) -> None:
    assert len(corpus.search(["gauge buoy"], 1)) == 1


def test_rankings_are_fused_by_the_reciprocals_of_ranks() -> None:
    # 3: 1/62 + 1/61; 1: 1/61 + 1/63; 2: 1/62; 9: 1/63
    assert fused([[1, 2, 9], [], [3, 8, 1], [7, 3]]) == [3, 1, 7, 2, 8, 9]


@given(st.lists(st.lists(st.integers(0, 20), unique=True), max_size=5))
def test_a_fused_ranking_holds_each_item_once(rankings: list[list[int]]) -> None:
    result = fused(rankings)
    assert sorted(result) == sorted({item for ranking in rankings for item in ranking})


@given(st.lists(st.integers(0, 20), unique=True))
def test_one_ranking_stays_as_it_is(ranking: list[int]) -> None:
    assert fused([ranking, ranking]) == ranking


def test_vectors_rank_beside_words() -> None:
    asked: list[str] = []

    def by_meaning(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, 0.0] if "wage" in text or "salary" in text else [0.0, 1.0] for text in texts]

    documents = {"a.md": "The operator works alone.", "b.md": "The operator sleeps.", "c.md": "Each wage is 9 crowns."}
    words = Corpus(documents)
    both = Corpus(documents, embed=by_meaning)
    assert "c.md" not in [p.file for p in words.search(["salary of the operator"])]
    assert "c.md" in [p.file for p in both.search(["salary of the operator"])]
    assert "salary of the operator" in asked


def test_a_vector_of_zeros_is_near_to_nothing() -> None:
    corpus = Corpus({"a.md": "The operator works."}, embed=lambda texts: [[0.0, 0.0] for _ in texts])
    assert [p.file for p in corpus.search(["operator"])] == ["a.md"]


def test_a_local_server_makes_the_vectors() -> None:
    with LoopbackProvider() as provider:
        provider.describe("nearby", capabilities=["embedding"])
        provider.embed_with("nearby", lambda text: [1.0, 0.0] if "wage" in text or "salary" in text else [0.0, 1.0])
        embed = local_embeddings("ollama:nearby", url=provider.url)
        corpus = Corpus({"a.md": "The operator works.", "b.md": "Each wage is 9 crowns."}, embed=embed)
        assert {p.file for p in corpus.search(["salary of the operator"])} == {"a.md", "b.md"}
