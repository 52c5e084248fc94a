"""Transfer from a source corpus to a target: adaptation or fine-tuning beside the source's head alone and the target's."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field
from msgspec.structs import replace

from ser.jsonfile import Model, Word, require
from ser.results.blocks import Block, Table
from ser.results.cells import ABSENT, main_head, many, number, score_cells, score_heads, with_interval
from ser.results.records.data_facts import data_facts
from ser.results.records.model import Beside, RunResult, Stamps
from ser.results.records.numbers import Metrics, Suspect
from ser.results.records.study_numbers import Gain
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord
from ser.results.tables import OF_WHOLE_RUNS, difference_table, shared_classes, suspect_line, suspects_notice

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

NOTE = "Gain over the source's head alone, pooled {}. {} Gap: share of the way to target only."


class Variant(Model, kw_only=True):
    """A way to a head for the target."""

    name: Word
    method: Annotated[
        str, Meta(min_length=1, description="none: the source's head alone; oracle: training on the target's labels.")
    ]
    weight: Annotated[float, Meta(ge=0, description="Weight of the adaptation.")] | UnsetType = field(
        default=UNSET, name="lambda"
    )
    selection: Annotated[str, Meta(description="What picked the epoch.")] | UnsetType = UNSET
    selection_score: Annotated[
        float | UnsetType | None,
        Meta(
            description="Of the epochs picked, mean over runs and folds: without a label of the target, unless selection is "
            "oracle."
        ),
    ] = UNSET
    stamps: Stamps
    experiment: Word
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    validation: Metrics | None
    test: Metrics
    pooled: Metrics
    chosen: Annotated[bool, Meta(description="True if its lambda has the best selection score of its method.")] | UnsetType = (
        UNSET
    )

    @property
    def in_words(self) -> str:
        """The variant as a sentence names it, in which the number of its lambda would stand beside that of the score."""
        return self.name if self.weight is UNSET else f"{self.method} (lambda {self.weight:g})"


class Study(StudyRecord, kw_only=True):
    """Transfer from a source corpus to a target: adaptation or fine-tuning beside the source's head alone and the target's."""

    schema: Literal["ser.transfer/1"] = "ser.transfer/1"
    task: Literal["adapt", "finetune"]
    notes: list[str]
    variants: Annotated[list[Variant], Meta(min_length=2)]
    comparisons: list[Gain]
    suspects: list[Suspect]

    def __post_init__(self) -> None:
        require(any(v.method == "none" for v in self.variants), "Expected a variant of the method none")
        names = [v.name for v in self.variants]
        require(len(set(names)) == len(names), "Expected each variant once")

    def standing(self) -> Standing:
        """The only method, or the one whose lambda was chosen; of several methods, the source's head alone."""
        methods = [v for v in self.variants if v.method not in ("none", "oracle")]
        chosen = [v for v in methods if v.chosen] or methods
        one = chosen[0] if len(chosen) == 1 else next(v for v in self.variants if v.method == "none")
        return Standing.at(one.name, one.pooled, one.validation)

    def members(self) -> list[tuple[str, str]]:
        return [(v.name, v.record) for v in self.variants]

    def lead(self) -> str:
        asked = [v for v in self.variants if v.method not in ("none", "oracle")]
        best = max([v for v in asked if v.chosen is not False], key=lambda v: v.pooled.main.mean, default=None)
        bounds = [v for v in self.variants if v.method in ("none", "oracle")]
        several = "highest of the methods " if len({v.method for v in asked}) > 1 else ""
        told = [] if best is None else [f"{several}{best.in_words} {with_interval(best.pooled.main)}"]
        told += [f"{v.in_words} {with_interval(v.pooled.main)}" for v in bounds]
        main = self.variants[0].pooled
        return f"{main_head(main)} on {self.dataset}: {'; '.join(told)}; {many(main.main.n, 'run')}."

    def blocks(self) -> list[Block]:
        some = any(v.selection_score is not UNSET for v in self.variants)
        several = any(v.chosen for v in self.variants)
        rows = []
        for v in self.variants:
            chosen = [v.selection or "", number(v.selection_score or None)] if some else []
            chosen += ["chosen" if v.chosen else ""] if several else []
            rows.append([v.name, *score_cells(v.pooled), str(v.pooled.main.n), *chosen])
        head = [
            "variant",
            *score_heads(self.variants[0].pooled),
            "runs",
            *(["selection", "score"] if some else []),
            *([""] if several else []),
        ]
        gains = []
        for c in self.comparisons:
            closed = ABSENT if c.gap_closed is None else f"{round(100 * c.gap_closed)} %"
            gains.append(([c.variant], c, c.p_holm, [closed, c.verdict]))
        note = "Test predictions of all folds of the target together, mean ± std over runs."
        return [
            Table("Scores of each variant", head, rows, note=note),
            difference_table(
                "Gains over source only",
                ["gain of", self.metrics[0]],
                gains,
                NOTE.format(self.metrics[0], OF_WHOLE_RUNS),
                ["gap", "verdict"],
            ),
            *shared_classes(data_facts(self)),
            *suspects_notice([suspect_line(s) for s in self.suspects]),
        ]

    def parts(self) -> Parts:
        yield from ((v.name, {"validation": v.validation, "test": v.test, "pooled": v.pooled}) for v in self.variants)

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.metrics.swapped_labels import suspects as swapped
        from ser.results.statistics.gains import comparisons

        frames = experiments.frames(self.variants)
        for k, v in enumerate(self.variants):
            yield from experiments.scores(f"$.variants[{k}]", v, frames.get(v.name))
            runs = experiments.runs(v.record, v.experiment, v.pooled.main.n)
            if runs is not None and v.selection and isinstance(v.selection_score, float):
                yield f"$.variants[{k}].selection_score", v.selection_score, selection_score(v.selection, runs.records)
        if len(frames) < len(self.variants):
            return
        names = {v.method: v.name for v in self.variants}
        classes = experiments.classes(next(iter(frames.values())))
        again = comparisons(frames, classes, names["none"], names.get("oracle", ""))
        yield "$.comparisons", self.comparisons, again
        blind = [v for v in self.variants if v.method == "none" or (self.task == "adapt" and v.method != "oracle")]
        yield "$.suspects", self.suspects, suspects_of((v.name, swapped(frames[v.name], classes)) for v in blind)


def suspects_of(variants: Iterable[tuple[str, Iterable[Suspect]]]) -> list[Suspect]:
    """Suspect classes of heads that have seen no label of the target: an adapted one shows swapped labels more plainly.

    Args:
        variants: by name; classes that several show are of the first.
    """
    found: dict[tuple[str, ...], Suspect] = {}
    for name, suspects in variants:
        for suspect in suspects:
            found.setdefault(tuple(suspect.classes), replace(suspect, variant=name))
    return list(found.values())


def selection_score(selection: str, records: Iterable[RunResult]) -> float | None:
    """The score that picked the epochs, at the epochs picked: mean over runs and folds; None if it was not a score."""
    word = selection.removeprefix("source ")
    values = [
        r.curves[name][r.best_epoch - 1]
        for r in records
        for name in (f"selection_{word}", f"validation_{word}")
        if r.curves and name in r.curves and r.best_epoch
    ]
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
