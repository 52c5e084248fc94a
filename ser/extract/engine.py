"""Stage one: decide what is to extract, decode and encode it, commit it; then merge the store.

Chunk by chunk, each an immutable shard of the store: after a kill at any time the same call goes on from there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ser.errors import StoreError
from ser.extract import items as gather
from ser.extract.encoder import Encoder
from ser.extract.failures import Failure, all_failed, write_failures
from ser.extract.items import Item
from ser.extract.plan import AUDIO_CHUNK, TEXT_CHUNK, chunks, part, plan, remaining
from ser.extract.provenance import provenance
from ser.extract.report import Report
from ser.extract.workers import outcomes
from ser.features.layout import Facts
from ser.features.store import FeatureStore, shards_folder
from ser.features.writer import StoreWriter
from ser.metadata.table import Table
from ser.progress import progress
from ser.workspace import Workspace


def extract(
    table: Table,
    encoder: Encoder,
    workspace: Workspace,
    *,
    jobs: int = 1,
    shard: tuple[int, int] = (0, 1),
    quiet: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Bring the store of a dataset and an encoder up to date.

    Args:
        table: the utterances; `table.root` is where their audio lies.
        encoder: loaded.
        workspace: the store is `features/<dataset>/<encoder.name>.h5` in it.
        jobs: worker processes, for encoders that ask for them.
        shard: `(I, N)` does every N-th chunk, from the I-th, and leaves the merging to a later call without it.
        overwrite: start the store afresh.
        say: told what a user should know, a line at a time.

    Raises:
        StoreError: the store is of another encoder, or another process is writing it.
        CorpusError: the table has no such modality, or the folder of its audio is gone.
        AudioError: not one utterance could be extracted.
        KeyboardInterrupt, OSError: what was done is committed.
    """
    begin = time.monotonic()
    path = workspace.store(table.dataset, encoder.name)
    items = gather.audio_items(table) if encoder.modality == "audio" else gather.text_items(table)
    if encoder.modality == "text":
        encoder.prepare(gather.training_texts(table), {} if overwrite else _assets(path))
    sliced = shard[1] > 1
    mine = part(chunks(items, AUDIO_CHUNK if encoder.modality == "audio" else TEXT_CHUNK), shard)
    ran = provenance(encoder, jobs)
    with StoreWriter(path, _facts(encoder), provenance=ran, shared=sliced, overwrite=overwrite, say=say) as writer:
        run = _Run(table, encoder, writer, mine, jobs, quiet, say)
        run.go()
        if not sliced:
            if run.committed and writer.check():
                run.go()  # a disk damaged a shard meanwhile
            writer.merge(table.ids)
    listed = workspace.features(table.dataset) / f"{encoder.name}.failures{_suffix(shard)}.csv"
    _list_failures(listed, run.failures, sliced)
    if run.failures and not run.done and not run.skipped:
        raise all_failed(f"{table.dataset} {encoder.name}", run.failures, listed)
    return Report(
        dataset=table.dataset,
        store=encoder.name + (f" [shard {shard[0]}/{shard[1]}]" if sliced else ""),
        modality=encoder.modality,
        done=len(run.done),
        skipped=run.skipped,
        failed=len(run.failures),
        without=len(table.frame) - len(items),
        first=f"{run.failures[0].id}: {run.failures[0].reason}" if run.failures else "",
        clipped=sorted(run.clipped),
        failures_path=listed if run.failures else None,
        store_path=shards_folder(path) if sliced else path,
        seconds=max(time.monotonic() - begin, 1e-9),
        audio_seconds=run.samples / encoder.sample_rate if encoder.sample_rate else 0.0,
    )


class _Run:
    """One pass over the chunks: what is done is in the store, what failed in `failures`, loud audio in `clipped`."""

    def __init__(
        self,
        table: Table,
        encoder: Encoder,
        writer: StoreWriter,
        mine: Sequence[Sequence[Item]],
        jobs: int,
        quiet: bool,
        say: Callable[[str], None],
    ) -> None:
        self.table, self.encoder, self.writer, self.mine = table, encoder, writer, mine
        self.jobs, self.quiet, self.say = jobs, quiet, say
        self.sources, self.failures = gather.hashes([item for chunk in mine for item in chunk])
        self.done: set[str] = set()
        self.clipped: set[str] = set()
        self.skipped = self.samples = 0

    @property
    def committed(self) -> bool:
        """Whether there are shards to merge."""
        return shards_folder(self.writer.path).exists()

    def go(self) -> None:
        """Extract what is to do."""
        failed = {f.id for f in self.failures}
        ids = [item.id for chunk in self.mine for item in chunk if item.id not in failed]
        decided = plan(ids, self.sources, self.writer.stored)
        self.skipped = len(set(decided.done) - self.done)
        if decided.stale:
            self.say(f"{len(decided.stale)} utterances have changed since they were extracted: extracted again")
        wanted = {*decided.todo, *decided.stale}
        label = f"{self.table.dataset} {self.encoder.name}"
        for _ in progress(self._commits(wanted), len(wanted), label, "utt", self.quiet):
            pass

    def _commits(self, wanted: set[str]) -> Iterator[None]:
        """Commit chunk after chunk; yields once an utterance."""
        by_id = {item for chunk in self.mine for item in chunk if item.id in wanted}
        todo = remaining(self.mine, by_id)
        with closing(outcomes(self.encoder, todo, self.sources, self.jobs)) as results:
            for outcome in results:
                try:
                    self.writer.commit(outcome.records)
                except KeyboardInterrupt:
                    self.writer.commit(outcome.records)
                    raise
                self.done.update(record.id for record in outcome.records)
                self.samples += sum(record.n_samples for record in outcome.records)
                self.failures += outcome.failures
                self.clipped.update(outcome.clipped)
                yield from [None] * (len(outcome.records) + len(outcome.failures))


def _facts(encoder: Encoder) -> Facts:
    return Facts(
        encoder=encoder.name.split(".")[0],
        modality=encoder.modality,
        level=encoder.level,
        dim=encoder.dim,
        identity=encoder.identity,
        sample_rate=encoder.sample_rate,
        vocabulary=encoder.vocabulary,
        assets=encoder.assets,
    )


def _assets(path: Path) -> dict[str, str]:
    """The assets of the store there is; none where there is none that can be read."""
    try:
        with FeatureStore(path) as store:
            return dict(store.assets)
    except StoreError:
        return {}


def _suffix(shard: tuple[int, int]) -> str:
    return f"-{shard[0]}of{shard[1]}" if shard[1] > 1 else ""


def _list_failures(path: Path, failures: list[Failure], sliced: bool) -> None:
    write_failures(path, failures)
    if not sliced:
        # Those of the shards have been tried again.
        for other in path.parent.glob(f"{path.name.removesuffix('.csv')}-*of*.csv"):
            other.unlink(missing_ok=True)
