"""Chunks to outcomes: one after another in this process, or spread over worker processes."""

import pickle
from collections.abc import Generator, Iterator

from ser.extract.encoder import Encoder
from ser.extract.items import Item
from ser.extract.work import Outcome, encode_chunk, work
from ser.parallel import in_order


def outcomes(
    encoder: Encoder, todo: list[list[Item]], sources: dict[str, bytes], jobs: int
) -> Generator[Outcome, None, None]:
    """Encode chunk after chunk, in their order.

    Args:
        todo: the chunks.
        sources: SHA-256 of each item's source.
        jobs: worker processes, for an encoder that asks for them.

    Raises:
        SerError: a worker process was killed.
        KeyboardInterrupt: after the outcome of what was done of the chunk at hand.
    """
    if encoder.processes and jobs > 1 and len(todo) > 1:
        yield from _in_processes(encoder, todo, sources, min(jobs, len(todo)))
        return
    for chunk in todo:
        outcome = Outcome()
        try:
            encode_chunk(encoder, chunk, sources, outcome)
        except BaseException:  # an interrupt: what is done of this chunk is committed first
            yield outcome
            raise
        yield outcome


def _in_processes(encoder: Encoder, todo: list[list[Item]], sources: dict[str, bytes], jobs: int) -> Iterator[Outcome]:
    pickled = pickle.dumps(encoder)
    tasks = ((pickled, chunk, {i.id: sources[i.id] for i in chunk}) for chunk in todo)
    yield from in_order(work, tasks, jobs, encoder.name, batch_size=1, max_nbytes=None)
