"""Stage one: decide what is to extract, decode and encode it, commit it; then merge the stores.

All encoders of a run share one pass over the table: a recording is decoded once. Chunk by chunk, each an immutable shard
of the store: after a kill at any time the same call goes on from there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

from ser.errors import AudioError, ConfigError
from ser.extract import items as gather
from ser.extract.encoder import Encoder
from ser.extract.items import Item
from ser.extract.lane import Lane, facts, prepare
from ser.extract.pipeline import Pipeline, Task
from ser.extract.plan import AUDIO_CHUNK, CHUNK_SECONDS, TEXT_CHUNK, batches, by_cost, chunks, merged, part
from ser.extract.provenance import provenance
from ser.extract.report import Report
from ser.extract.verify import verify
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
) -> list[Report]:
    """Bring the stores of a dataset and some encoders up to date.

    Args:
        table: the utterances; `table.root` is where their audio lies.
        encoders: loaded, each of another name.
        workspace: the stores are `features/<dataset>/<encoder.name>.h5` in it.
        jobs: threads, or worker processes for encoders that ask for them.
        shard: `(I, N)` does every N-th chunk, from the I-th, and leaves the merging to a later call without it.
        check: encode so many utterances of each store again, each alone, and say how much they differ.
        overwrite: start the stores afresh.
        say: told what a user should know, a line at a time.

    Returns:
        What was done, a report an encoder.

    Raises:
        StoreError: a store is of another encoder, or another process is writing it.
        CorpusError: the table has no such modality, or the folder of its audio is gone.
        AudioError: not one utterance could be extracted.
        KeyboardInterrupt, OSError: what was done is committed.
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
        for lane in run.lanes:
            if not sliced and lane.committed and lane.writer.check():
                run.go(quiet)  # a disk damaged a shard meanwhile
        if check:
            for lane in run.lanes:
                if lane.done or lane.skipped:
                    verify(lane, check)
        if not sliced:
            for lane in run.lanes:
                lane.writer.merge(table.ids, anew=lane.verified is not None)
        return _reports(run.lanes, workspace, shard, time.monotonic() - begin, say)


def _reports(
    lanes: Sequence[Lane], workspace: Workspace, shard: tuple[int, int], seconds: float, say: Say
) -> list[Report]:
    """The report of each encoder; if one could use nothing, what the others did is said before its error."""
    made: list[Report] = []
    useless: AudioError | None = None
    for lane in lanes:
        try:
            made.append(lane.report(workspace, shard, seconds))
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
        self.lanes: list[Lane] = []
        self.chunks: list[tuple[list[Item], list[str]]] = []  # utterances, and the encoders that they are for
        for modality in ("audio", "text"):
            same = [e for e in encoders if e.modality == modality]
            if not same:
                continue
            items = gather.audio_items(table) if modality == "audio" else gather.text_items(table)
            for scheme in [e.view.scheme for e in same if e.view is not None and e.view.scheme is not None][:1]:
                items = gather.labelled(items, table, scheme)  # all views of a call have one
            sources, failures = gather.hashes(items)
            for encoder in same:
                path = workspace.store(table.dataset, encoder.name)
                prepare(table, encoder, path, overwrite)
                ran = provenance(encoder, jobs)
                opened = StoreWriter(
                    path, facts(encoder), provenance=ran, shared=shard[1] > 1, overwrite=overwrite, say=say
                )
                writer = stack.enter_context(opened)
                self.lanes.append(_lane(table, encoder, writer, items, sources, failures))
            if modality == "audio":
                self.chunks += [(c, [e.name for e in same]) for c in audio_chunks(items, same)]
            else:
                self.chunks += [(c, [e.name]) for e in same for c in text_chunks(items, e)]
        self.chunks = part(self.chunks, shard)
        mine: dict[str, set[str]] = {lane.encoder.name: set() for lane in self.lanes}
        for chunk, names in self.chunks:
            for name in names:
                mine[name].update(item.id for item in chunk)
        for lane in self.lanes:
            lane.items = [item for item in lane.items if item.id in mine[lane.encoder.name]]
            own = {item.id for item in lane.items}
            lane.failures = [f for f in lane.failures if f.id in own]

    def go(self, quiet: bool) -> None:
        """Extract what is to do."""
        wanted = {lane.encoder.name: lane.wanted(self.say) for lane in self.lanes}
        total = sum(map(len, wanted.values()))
        for _ in progress(self._commits(wanted), total, self.label, "utt", quiet):
            pass

    def _commits(self, wanted: dict[str, set[str]]) -> Iterator[None]:
        """Commit chunk after chunk; yields once an utterance and encoder."""
        lanes = {lane.encoder.name: lane for lane in self.lanes}
        pipeline = Pipeline(
            [lane.encoder for lane in self.lanes], {n: lane.sources for n, lane in lanes.items()}, self.jobs
        )
        said: set[str] = set()
        with closing(pipeline.run(self._tasks(wanted))) as results:
            for outcomes in results:
                for name, outcome in outcomes.items():
                    for note in set(outcome.notes) - said:
                        said.add(note)
                        self.say(note)
                    yield from [None] * lanes[name].take(outcome)

    def _tasks(self, wanted: dict[str, set[str]]) -> list[Task]:
        tasks = []
        for chunk, names in self.chunks:
            ids = {item.id for item in chunk}
            todo = {name: ids & wanted[name] for name in names}
            todo = {name: some for name, some in todo.items() if some}
            if todo:
                union = set.union(*todo.values())
                tasks.append(Task([item for item in chunk if item.id in union], todo))
        return tasks


def _lane(
    table: Table,
    encoder: Encoder,
    writer: StoreWriter,
    items: list[Item],
    sources: dict[str, bytes],
    failures: Sequence[Failure],
) -> Lane:
    """An encoder's part in the run. A view that is chosen by the label is of the utterances whose label has a policy."""
    classes = encoder.view.classes if encoder.view is not None else ()
    if not classes:
        return Lane(table, encoder, writer, items, sources, failures)
    chosen = [item for item in items if item.emotion in classes]
    return Lane(table, encoder, writer, chosen, gather.with_emotions(chosen, sources), failures)


def _names(encoders: Sequence[Encoder]) -> str:
    """The encoders, and how many views there are of them, for the progress bar."""
    views = sum(e.view is not None for e in encoders)
    return ", ".join(e.name for e in encoders if e.view is None) + (f" and {views} views" if views else "")


def audio_chunks(items: Sequence[Item], encoders: Sequence[Encoder]) -> list[list[Item]]:
    """What is decoded and committed together: of batching encoders, whole batches of utterances of like length.

    A pure function of the table and the encoders, whatever is done already: an utterance is encoded beside the same
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
    """Likewise for texts: of like numbers of tokens, so that a batch finds many that are equal."""
    costs = encoder.costs([item.text for item in items])
    order = by_cost(costs)
    sorted_costs = [costs[k] for k in order]
    groups = merged(batches(sorted_costs, encoder.budget, encoder.equal), sorted_costs, TEXT_CHUNK, float("inf"))
    return [[items[order[k]] for k in group] for group in groups]
