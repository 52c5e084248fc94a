"""Chunks to outcomes: one after another in this process, or spread over worker processes."""

import pickle
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures.process import BrokenProcessPool

from ser.errors import EncoderError
from ser.extract.encoder import Encoder
from ser.extract.items import Item
from ser.extract.work import Outcome, encode_chunk, work


def outcomes(
    encoder: Encoder, todo: list[list[Item]], sources: dict[str, bytes], jobs: int
) -> Generator[Outcome, None, None]:
    """Encode chunk after chunk, in their order.

    Args:
        todo: the chunks.
        sources: SHA-256 of each item's source.
        jobs: worker processes, for an encoder that asks for them.

    Raises:
        EncoderError: a worker process was killed.
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
    from joblib import Parallel, delayed, parallel_config

    pickled = pickle.dumps(encoder)
    tasks = (delayed(work)(pickled, chunk, {i.id: sources[i.id] for i in chunk}) for chunk in todo)
    # One thread a worker: two OpenMP teams on the same cores cost several times the processor time.
    with parallel_config(backend="loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=jobs, return_as="generator", batch_size=1, max_nbytes=None)(tasks)
    try:
        for outcome in results:  # noqa: UP028 - `yield from` would close the results before `finally`
            yield outcome
    except BrokenProcessPool as error:
        raise EncoderError(
            f"{encoder.name}: a worker process was ended from outside, for want of memory perhaps",
            found=str(error).split("\n")[0],
            action="What was done is kept; give the same command again, with fewer --jobs.",
        ) from None
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of results that were not used: an interrupt, a full disk
            results.close()
