"""Deciding what to extract, on its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser.extract.plan import batches, by_cost, chunks, merged, part, plan

HASHES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([b"1", b"2"]))


@given(ids=st.lists(st.sampled_from("abcdefgh"), unique=True), hashes=HASHES, stored=HASHES)
def test_every_utterance_is_of_one_kind(ids: list[str], hashes: dict[str, bytes], stored: dict[str, bytes]) -> None:
    decided = plan(ids, hashes, stored)
    readable = {i for i in ids if i in hashes}
    assert set(decided.done) == {i for i in readable if i in stored and stored[i] == hashes[i]}
    assert set(decided.todo) == readable - set(stored)
    assert set(decided.stale) == readable - set(decided.done) - set(decided.todo)
    assert decided.todo == [i for i in ids if i in decided.todo]


def test_a_source_that_cannot_be_read_keeps_what_is_stored() -> None:
    decided = plan(["a", "b"], {"b": b"1"}, {"a": b"1"})
    assert (decided.done, decided.todo, decided.stale) == ([], ["b"], [])


@given(count=st.integers(0, 50), size=st.integers(1, 9), shards=st.integers(1, 5))
def test_shards_are_the_whole_and_share_nothing(count: int, size: int, shards: int) -> None:
    whole = chunks(range(count), size)
    assert [i for chunk in whole for i in chunk] == list(range(count))
    parts = [part(whole, (index, shards)) for index in range(shards)]
    assert sorted(i for p in parts for chunk in p for i in chunk) == list(range(count))


def padding(lengths: "np.ndarray", budget: float) -> float:
    """Share of padding in the batches of some lengths."""
    order = by_cost(list(lengths))
    costs = [float(lengths[k]) for k in order]
    whole = sum(len(b) * max(costs[k] for k in b) for b in batches(costs, budget))
    return 1 - sum(costs) / whole


@pytest.mark.parametrize("shape", ["ravdess", "meld"])
def test_little_is_padded(shape: str) -> None:
    generator = np.random.default_rng(0)
    lengths = generator.normal(3.7, 0.3, 1440).clip(2.9, 5.3)
    if shape == "meld":
        lengths = generator.gamma(1.5, 2.1, 13000).clip(0.1, 40)
    assert padding(lengths, 240) < 0.03
    assert padding(lengths, 16) < 0.03


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 200), st.booleans())
def test_batches_hold_each_once_in_order_within_the_budget(lengths: list[int], budget: int, equal: bool) -> None:
    costs = sorted(lengths, reverse=True)
    found = batches(costs, budget, equal)
    assert [k for batch in found for k in batch] == list(range(len(costs)))
    for batch in found:
        most, least = costs[batch[0]], costs[batch[-1]]
        assert len(batch) == 1 or (budget and len(batch) * most <= budget)
        assert least == most if equal else least >= 0.9 * most
    groups = merged(found, costs, 5, 100)
    assert [k for group in groups for k in group] == list(range(len(costs)))
