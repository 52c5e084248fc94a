"""Transfer matrix: a head of each corpus tested on all corpora, over the classes that all have."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from ser.jsonfile import Model, Word, require
from ser.results.blocks import Block, Table
from ser.results.cells import ABSENT, csv_text, score
from ser.results.records.data_facts import data_facts
from ser.results.records.model import Beside
from ser.results.records.numbers import Metrics, Suspect
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord
from ser.results.tables import shared_classes, suspect_line, suspects_notice

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

NOTE = (
    "{metric} of all test predictions together, mean ± std over runs. Rows are trained on, columns tested. In brackets: within "
    "a corpus, under its own protocol. others: mean of a row or column without the brackets. /: no language is shared."
)
COLUMNS = (
    *("source", "target", "within", "cross_language", "utterances", "metric"),
    *("mean", "std", "ci_95_low", "ci_95_high", "runs", "values"),
)


class Cell(Model, kw_only=True):
    """A source tested on a target."""

    source: Word
    target: Word
    within: Annotated[bool, Meta(description="The diagonal: trained and tested within the corpus, under its own protocol.")]
    cross_language: Annotated[str | None, Meta(description="german -> english; null where a language is shared or not known.")]
    utterances: Annotated[int, Meta(ge=1, description="Tested in a run.")]
    experiment: Word
    record: Annotated[Beside, Meta(description="The summary that the cell is of, from this file's folder.")]
    fold: Annotated[str | None, Meta(description="The fold of it that the cell is; null: all.")]
    validation: Annotated[Metrics | None, Meta(description="On the source's own validation part.")]
    pooled: Annotated[Metrics, Meta(description="All test predictions of a run together.")]
    suspects: list[Suspect]


class Study(StudyRecord, kw_only=True):
    """Transfer matrix: a head of each corpus tested on all corpora, over the classes that all have."""

    PICTURE: ClassVar = "matrix"
    schema: Literal["ser.matrix/1"] = "ser.matrix/1"
    notes: list[str]
    datasets: Annotated[list[str], Meta(min_length=2, description="Rows and columns, in their order.")]
    cells: Annotated[list[Cell], Meta(min_length=4)]
    sources: Annotated[
        dict[str, Metrics], Meta(description="Row means: of each source over the other corpora, one value per run.")
    ]
    targets: Annotated[dict[str, Metrics], Meta(description="Column means: of each target over the other corpora's heads.")]

    def __post_init__(self) -> None:
        wanted = {(source, target) for source in self.datasets for target in self.datasets}
        fits = len(wanted) == len(self.cells) == len(self.datasets) ** 2 and set(self.by_pair()) == wanted
        require(fits, "Expected a cell for each source and target of datasets")
        means = {"sources": self.sources, "targets": self.targets}
        lost = [side for side, found in means.items() if set(found) != set(self.datasets)]
        require(not lost, f"Expected the datasets as the keys of {' and '.join(lost)}")

    def standing(self) -> Standing:
        """The mean over all sources of their means over the other corpora."""
        rows = list(self.sources.values())
        means = {m: sum(r.of(m).mean for r in rows) / len(rows) for m in rows[0].names}
        return Standing("across corpora", means, rows[0].main.n)

    def members(self) -> list[tuple[str, str]]:
        return [(f"{c.source} -> {c.target}", c.record) for c in self.cells]

    def by_pair(self) -> dict[tuple[str, str], Cell]:
        """The cells by source and target."""
        return {(c.source, c.target): c for c in self.cells}

    def lead(self) -> str:
        return f"{len(self.datasets)} corpora, each as source and as target: {', '.join(self.datasets)}."

    def blocks(self) -> list[Block]:
        cells = self.by_pair()
        rows = [
            [source, *(_shown(cells[source, target]) for target in self.datasets), score(self.sources[source].main)]
            for source in self.datasets
        ]
        rows.append(["others", *(score(self.targets[target].main) for target in self.datasets), ABSENT])
        lines = [suspect_line(s, f"{c.source} -> {c.target}: ") for c in self.cells for s in c.suspects]
        return [
            Table(
                f"{self.metrics[0]}, source by target",
                ["trained on", *self.datasets, "others"],
                rows,
                note=NOTE.format(metric=self.metrics[0]),
            ),
            *shared_classes(data_facts(self)),
            *suspects_notice(lines),
        ]

    def parts(self) -> Parts:
        for c in self.cells:
            yield f"{c.source} -> {c.target}", {"validation": c.validation, "pooled": c.pooled}

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.metrics.swapped_labels import suspects as swapped

        for k, c in enumerate(self.cells):
            runs = experiments.runs(c.record, c.experiment, c.pooled.main.n)
            if runs is None:
                continue
            frame = runs.predictions
            frame = frame if c.fold is None else frame[frame["fold"] == c.fold]
            yield from experiments.scores(f"$.cells[{k}]", c, frame, ("validation", "pooled"))
            first = frame[(frame["split"] == "test") & (frame["run"] == frame["run"].min())]
            yield f"$.cells[{k}].utterances", c.utterances, len(first)
            yield f"$.cells[{k}].suspects", c.suspects, swapped(frame, experiments.classes(frame))
        yield "$.sources", self.sources, means(self.cells, self.datasets, "source")
        yield "$.targets", self.targets, means(self.cells, self.datasets, "target")

    def as_csv(self) -> str:
        """One line per cell and metric; then the means of rows and columns, `others` in place of the other corpus."""
        rows = [
            (c.source, c.target, str(c.within).lower(), c.cross_language, c.utterances, *_numbers(c.pooled, m))
            for c in self.cells
            for m in self.metrics
        ]
        for name in self.datasets:
            for pair, of in (((name, "others"), self.sources), (("others", name), self.targets)):
                rows += [(*pair, "false", None, None, *_numbers(of[name], m)) for m in self.metrics]
        return csv_text(COLUMNS, rows)


def _shown(cell: Cell) -> str:
    value = score(cell.pooled.main)
    return f"[{value}]" if cell.within else f"{value} /" if cell.cross_language else value


def _numbers(metrics: Metrics, name: str) -> tuple[object, ...]:
    m = metrics.of(name)
    low, high = m.ci_95 or (None, None)
    return name, m.mean, m.std, low, high, m.n, " ".join(map(str, m.values))


def means(cells: Sequence[Cell], names: Sequence[str], side: Literal["source", "target"]) -> dict[str, Metrics]:
    """By corpus: the mean of the cells with it as source or target but the diagonal, run by run, described over runs."""
    from ser.results.metrics.intervals import metrics_over_runs

    found = {}
    for name in names:
        own = [c.pooled for c in cells if getattr(c, side) == name and not c.within]
        runs = {m: zip(*(p.of(m).values for p in own), strict=True) for m in own[0].names}
        found[name] = metrics_over_runs({m: [sum(v) / len(v) for v in runs[m]] for m in runs})
    return found
