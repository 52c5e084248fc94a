"""Deciding what to extract, on its own."""

from hypothesis import given
from hypothesis import strategies as st

from ser.extract.plan import chunks, part, plan, remaining

HASHES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([b"1", b"2"]))


@given(ids=st.lists(st.sampled_from("abcdefgh"), unique=True), hashes=HASHES, stored=HASHES)
def test_every_utterance_is_of_one_kind(ids: list[str], hashes: dict[str, bytes], stored: dict[str, bytes]) -> None:
    decided = plan(ids, hashes, stored)
    readable = {i for i in ids if i in hashes}
    assert set(decided.done) == {i for i in readable if i in stored and stored[i] == hashes[i]}
    assert set(decided.todo) == readable - set(stored)
    assert set(decided.stale) == readable - set(decided.done) - set(decided.todo)
    assert set(decided.gone) == set(stored) - set(ids)
    assert decided.todo == [i for i in ids if i in decided.todo]


def test_a_source_that_cannot_be_read_keeps_what_is_stored() -> None:
    decided = plan(["a", "b"], {"b": b"1"}, {"a": b"1"})
    assert (decided.done, decided.todo, decided.stale, decided.gone) == ([], ["b"], [], [])


@given(count=st.integers(0, 50), size=st.integers(1, 9), shards=st.integers(1, 5))
def test_shards_are_the_whole_and_share_nothing(count: int, size: int, shards: int) -> None:
    whole = chunks(range(count), size)
    assert [i for chunk in whole for i in chunk] == list(range(count))
    parts = [part(whole, (index, shards)) for index in range(shards)]
    assert sorted(i for p in parts for chunk in p for i in chunk) == list(range(count))


@given(done=st.sets(st.integers(0, 40)), size=st.integers(1, 9))
def test_going_on_keeps_the_boundaries(done: set[int], size: int) -> None:
    whole = chunks(range(40), size)
    left = remaining(whole, set(range(40)) - done)
    assert [i for chunk in left for i in chunk] == [i for i in range(40) if i not in done]
    for chunk in left:
        assert len({i // size for i in chunk}) == 1
