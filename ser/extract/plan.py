"""What is to extract: pure functions of the table and of what the store holds. Nothing here reads a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

AUDIO_CHUNK = 16  # utterances a commit: a second to a minute of work, which is what a kill loses
TEXT_CHUNK = 512  # large enough that an encoder finds many texts of one length in it


@dataclass(frozen=True)
class Plan:
    """The utterances of a table and of a store, told apart.

    Attributes:
        done: stored, and made of the source as it is now.
        todo: not stored.
        stale: stored, but the source has changed since.
        gone: stored, but no longer in the table.
    """

    done: list[str]
    todo: list[str]
    stale: list[str]
    gone: list[str]


def plan(ids: Sequence[str], hashes: Mapping[str, bytes], stored: Mapping[str, bytes]) -> Plan:
    """Decide what is to extract.

    Args:
        ids: utterances of the table.
        hashes: SHA-256 of their sources as they are now; one that could not be read is missing here, and is then
            neither done, to do nor stale: there is nothing to make its features of.
        stored: SHA-256 of what the stored features were made of.

    >>> plan(["a", "b", "c"], {"a": b"1", "b": b"2", "c": b"3"}, {"b": b"2", "c": b"0", "x": b"9"})
    Plan(done=['b'], todo=['a'], stale=['c'], gone=['x'])
    """
    known = [i for i in ids if i in hashes]
    here = set(ids)
    return Plan(
        done=[i for i in known if stored.get(i) == hashes[i]],
        todo=[i for i in known if i not in stored],
        stale=[i for i in known if i in stored and stored[i] != hashes[i]],
        gone=[i for i in stored if i not in here],
    )


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """Consecutive items, `size` a chunk.

    The chunks are those of the whole table, whatever is done already: an utterance is encoded beside the same
    neighbours when an extraction goes on as when it is made in one go, and rounding does not depend on it.

    >>> chunks("abcde", 2)
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    return [list(items[begin : begin + size]) for begin in range(0, len(items), size)]


def part(all_chunks: Sequence[T], shard: tuple[int, int]) -> list[T]:
    """The chunks of shard `I` of `N`: every N-th, from the I-th.

    >>> part(["a", "b", "c"], (0, 2))
    ['a', 'c']
    """
    index, count = shard
    return list(all_chunks[index::count])


def remaining(all_chunks: Iterable[Sequence[T]], wanted: "set[T]") -> list[list[T]]:
    """The chunks without the items that are not wanted; empty chunks are left out."""
    kept = ([item for item in chunk if item in wanted] for chunk in all_chunks)
    return [chunk for chunk in kept if chunk]
