"""The plan of an extraction, by pure functions of the table and of the store's contents. Nothing here reads a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# Utterances that are committed together are lost together by a kill: this number, or this length of audio, whichever is first.
AUDIO_CHUNK, CHUNK_SECONDS = 16, 600.0
TEXT_CHUNK = 128
CLOSE = 0.9  # a batch takes no input that costs less than this share of its costliest


@dataclass(frozen=True)
class Plan:
    """The utterances of a table and of a store, sorted by their state: to be made, made, and so on.

    Attributes:
        done: stored, and made of the source as it is now.
        todo: not stored.
        stale: stored, but the source has changed since.
    """

    done: list[str]
    todo: list[str]
    stale: list[str]


def plan(ids: Sequence[str], hashes: Mapping[str, bytes], stored: Mapping[str, bytes]) -> Plan:
    """Decide which utterances are extracted.

    Args:
        ids: utterances of the table.
        hashes: SHA-256 of their sources as they are now; one that could not be read is missing here, and is then
            neither done, to do nor stale: there is nothing to make its features of.
        stored: SHA-256 of what the stored features were made of.

    >>> plan(["a", "b", "c"], {"a": b"1", "b": b"2", "c": b"3"}, {"b": b"2", "c": b"0", "x": b"9"})
    Plan(done=['b'], todo=['a'], stale=['c'])
    """
    known = [i for i in ids if i in hashes]
    return Plan(
        done=[i for i in known if stored.get(i) == hashes[i]],
        todo=[i for i in known if i not in stored],
        stale=[i for i in known if i in stored and stored[i] != hashes[i]],
    )


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """Divide into consecutive items, `size` per chunk.

    The chunks are those of the whole table, also of utterances that are made already: an utterance is encoded beside the same
    neighbours when an extraction goes on as when it is made in one go, and rounding does not depend on it.

    >>> chunks("abcde", 2)
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    return [list(items[begin : begin + size]) for begin in range(0, len(items), size)]


def by_cost(costs: Sequence[float]) -> list[int]:
    """Positions, the costliest first, equal ones in their order.

    Costliest first, so that what does not fit into memory shows at once, and the time left is not promised too short.

    >>> by_cost([1, 3, 2, 3])
    [1, 3, 2, 0]
    """
    return sorted(range(len(costs)), key=lambda position: -costs[position])


def batches(costs: Sequence[float], budget: float, equal: bool = False) -> list[list[int]]:
    """Consecutive positions that go together, of inputs in descending order of cost.

    A batch costs its number of inputs times its costliest. It is closed when the next input would pass the budget, or
    costs less than `CLOSE` of the costliest, which bounds the padding. A pure function: the same corpus gives the same
    batches whatever is done already.

    Args:
        budget: 0 is one input per batch. An input that costs more by itself goes alone.
        equal: true where a batch takes inputs of one cost only.

    >>> batches([10, 10, 9.5, 7, 7], budget=30)
    [[0, 1, 2], [3, 4]]
    """
    found: list[list[int]] = []
    most = 0.0
    for position, cost in enumerate(costs):
        least = most if equal else CLOSE * most
        if found and budget and least <= cost <= most and (len(found[-1]) + 1) * most <= budget:
            found[-1].append(position)
        else:
            found.append([position])
            most = cost
    return found


def merged(groups: Iterable[Sequence[int]], costs: Sequence[float], count: int, cost: float) -> list[list[int]]:
    """Join consecutive groups up to a number of positions, or a cost; no group is split.

    >>> merged([[0], [1], [2, 3], [4]], [1, 1, 1, 1, 1], count=2, cost=9)
    [[0, 1], [2, 3], [4]]
    """
    found: list[list[int]] = []
    full = True
    for group in groups:
        if full:
            found.append([])
        found[-1] += group
        full = len(found[-1]) >= count or sum(costs[p] for p in found[-1]) >= cost
    return found


def part(all_chunks: Sequence[T], shard: tuple[int, int]) -> list[T]:
    """The chunks of shard `I` of `N`: every N-th, from the I-th.

    >>> part(["a", "b", "c"], (0, 2))
    ['a', 'c']
    """
    index, count = shard
    return list(all_chunks[index::count])
