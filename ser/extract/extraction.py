"""Stage one: choose the utterances to extract, decode and encode them, commit them; then merge the stores.

All encoders of one call share one pass over the table: a recording is decoded once. Chunk by chunk, each an immutable shard
of the store: after a kill at any time the same call goes on from there.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing

from ser.errors import AudioError, ConfigError
from ser.extract import utterances as gather
from ser.extract.encoder import Encoder
from ser.extract.pipeline import Chunk, Pipeline
from ser.extract.plan import AUDIO_CHUNK, CHUNK_SECONDS, TEXT_CHUNK, batches, by_cost, chunks, merged, part
from ser.extract.provenance import surroundings
from ser.extract.store_update import ExtractionReport, StoreUpdate, facts, prepare, verify
from ser.extract.utterances import Item
from ser.features.stores.failures import Failure
from ser.features.stores.writer import StoreWriter
from ser.metadata.table import Table
from ser.progress import progress
from ser.workspace import Workspace

Say = Callable[[str], None]


def extract(
    table: Table,
    encoders: Encoder | Sequence[Encoder],
    workspace: Workspace,
    *,
    jobs: int = 1,
    shard: tuple[int, int] = (0, 1),
    check: int = 0,
    quiet: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
) -> list[ExtractionReport]:
    """Bring the stores of a dataset and some encoders up to date.

    Args:
        table: the utterances; `table.root` is where their audio lies.
        encoders: loaded, each of another name.
        workspace: the stores are `features/<dataset>/<encoder.name>.h5` in it.
        jobs: threads, or worker processes for encoders that ask for them.
        shard: `(I, N)` does every N-th chunk, from the I-th, and leaves the merging to a later call without it.
        check: the number of utterances of each store that are encoded again, each alone, and compared.
        overwrite: start the stores again.
        say: called with each line that a user should see.

    Returns:
        One report per encoder.

    Raises:
        StoreError: a store is of another encoder, or another process is writing it.
        CorpusError: the table has no such modality, or the folder of its audio is gone.
        AudioError: no utterance could be extracted.
        KeyboardInterrupt, OSError: after finished utterances are committed.
    """
    begin = time.monotonic()
    chosen = [encoders] if isinstance(encoders, Encoder) else list(encoders)
    twice = sorted({e.name for e in chosen if [o.name for o in chosen].count(e.name) > 1})
    if twice:
        raise ConfigError("two encoders would write the same store", expected="each name once", found=", ".join(twice))
    sliced = shard[1] > 1
    with ExitStack() as stack:
        run = _Run(table, chosen, workspace, stack, jobs, shard, overwrite, say)
        run.go(quiet)
        for update in run.updates:
            if not sliced and update.committed and update.writer.check():
                run.go(quiet)  # a disk damaged a shard meanwhile
        if check:
            for update in run.updates:
                if update.done or update.skipped:
                    verify(update, check)
        if not sliced:
            for update in run.updates:
                update.writer.merge(table.ids, again=update.verified is not None)
        return _reports(run.updates, workspace, shard, time.monotonic() - begin, say)


def _reports(
    updates: Sequence[StoreUpdate], workspace: Workspace, shard: tuple[int, int], seconds: float, say: Say
) -> list[ExtractionReport]:
    """The report of each encoder; if one could use nothing, the others' are said before its error."""
    made: list[ExtractionReport] = []
    useless: AudioError | None = None
    for update in updates:
        try:
            made.append(update.report(workspace, shard, seconds))
        except AudioError as error:
            useless = useless or error
    if useless is not None:
        for report in made:
            say(report.line())
        raise useless
    return made


class _Run:
    """One pass over a table."""

    def __init__(
        self,
        table: Table,
        encoders: Sequence[Encoder],
        workspace: Workspace,
        stack: ExitStack,
        jobs: int,
        shard: tuple[int, int],
        overwrite: bool,
        say: Say,
    ) -> None:
        self.jobs, self.say, self.label = jobs, say, f"{table.dataset} {_names(encoders)}"
        self.updates: list[StoreUpdate] = []
        self.chunks: list[tuple[list[Item], list[str]]] = []  # utterances, and the encoders that they are for
        for modality in ("audio", "text"):
            same = [e for e in encoders if e.modality == modality]
            if not same:
                continue
            items = gather.audio_items(table) if modality == "audio" else gather.text_items(table)
            for scheme in [e.view.scheme for e in same if e.view is not None and e.view.scheme is not None][:1]:
                items = gather.with_classes(items, table, scheme)  # all views of a call have one
            sources, failures = gather.hashes(items)
            for encoder in same:
                path = workspace.store(table.dataset, encoder.name)
                prepare(table, encoder, path, overwrite)
                batches = {"batch_budget": encoder.budget, "probe": getattr(encoder, "probed", None)}
                ran = {**surroundings(encoder.device, jobs), **batches}
                opened = StoreWriter(path, facts(encoder), provenance=ran, shared=shard[1] > 1, overwrite=overwrite, say=say)
                writer = stack.enter_context(opened)
                self.updates.append(_store_update(table, encoder, writer, items, sources, failures))
            if modality == "audio":
                self.chunks += [(c, [e.name for e in same]) for c in audio_chunks(items, same)]
            else:
                self.chunks += [(c, [e.name]) for e in same for c in text_chunks(items, e)]
        self.chunks = part(self.chunks, shard)
        mine: dict[str, set[str]] = {update.encoder.name: set() for update in self.updates}
        for chunk, names in self.chunks:
            for name in names:
                mine[name].update(item.id for item in chunk)
        for update in self.updates:
            update.items = [item for item in update.items if item.id in mine[update.encoder.name]]
            own = {item.id for item in update.items}
            update.failures = [f for f in update.failures if f.id in own]

    def go(self, quiet: bool) -> None:
        """Extract all that is missing or out of date."""
        wanted = {update.encoder.name: update.wanted(self.say) for update in self.updates}
        total = sum(map(len, wanted.values()))
        with closing(self._commits(wanted)) as commits:  # at an interrupt the workers end before anything is said
            for _ in progress(commits, total, self.label, "utt", quiet):
                pass

    def _commits(self, wanted: dict[str, set[str]]) -> Generator[None, None, None]:
        """Commit chunk after chunk; yields once per utterance and encoder."""
        updates = {update.encoder.name: update for update in self.updates}
        pipeline = Pipeline(
            [update.encoder for update in self.updates], {n: update.sources for n, update in updates.items()}, self.jobs
        )
        said: set[str] = set()
        with closing(pipeline.run(self._tasks(wanted))) as results:
            for outcomes in results:
                for name, outcome in outcomes.items():
                    for note in set(outcome.notes) - said:
                        said.add(note)
                        self.say(note)
                    yield from [None] * updates[name].take(outcome)

    def _tasks(self, wanted: dict[str, set[str]]) -> list[Chunk]:
        tasks = []
        for chunk, names in self.chunks:
            ids = {item.id for item in chunk}
            todo = {name: ids & wanted[name] for name in names}
            todo = {name: some for name, some in todo.items() if some}
            if todo:
                union = set.union(*todo.values())
                tasks.append(Chunk([item for item in chunk if item.id in union], todo))
        return tasks


def _store_update(
    table: Table,
    encoder: Encoder,
    writer: StoreWriter,
    items: list[Item],
    sources: dict[str, bytes],
    failures: Sequence[Failure],
) -> StoreUpdate:
    """The update of one encoder's store. A view that depends on the label has only utterances whose label has a policy."""
    classes = encoder.view.classes if encoder.view is not None else ()
    if not classes:
        return StoreUpdate(table, encoder, writer, items, sources, failures)
    chosen = [item for item in items if item.emotion in classes]
    return StoreUpdate(table, encoder, writer, chosen, gather.with_emotions(chosen, sources), failures)


def _names(encoders: Sequence[Encoder]) -> str:
    """The encoders, and the number of their views, for the progress bar."""
    views = sum(e.view is not None for e in encoders)
    return ", ".join(e.name for e in encoders if e.view is None) + (f" and {views} views" if views else "")


def audio_chunks(items: Sequence[Item], encoders: Sequence[Encoder]) -> list[list[Item]]:
    """Divide utterances into chunks that are decoded and committed together: of batching encoders, batches of like length.

    A pure function of the table and the encoders, not of the store's content: an utterance is encoded beside the same
    neighbours when an extraction goes on as when it is made in one go.
    """
    budget = max((e.budget / e.sample_rate for e in encoders), default=0.0)
    if not budget:
        return chunks(items, AUDIO_CHUNK)
    seconds = gather.lengths(items)
    order = by_cost(seconds)
    costs = [seconds[k] for k in order]
    groups = merged(batches(costs, budget), costs, AUDIO_CHUNK, CHUNK_SECONDS)
    return [[items[order[k]] for k in group] for group in groups]


def text_chunks(items: Sequence[Item], encoder: Encoder) -> list[list[Item]]:
    """Divide texts into chunks of like numbers of tokens, so that a batch finds many that are equal."""
    costs = encoder.costs([item.text for item in items])
    order = by_cost(costs)
    sorted_costs = [costs[k] for k in order]
    groups = merged(batches(sorted_costs, encoder.budget, encoder.equal), sorted_costs, TEXT_CHUNK, float("inf"))
    return [[items[order[k]] for k in group] for group in groups]
