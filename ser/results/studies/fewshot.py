"""Few-shot methods on the same shots: their curves over the amount of labelled target data, comparisons, labels saved."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Word, require
from ser.results.blocks import Block, Table
from ser.results.cells import ABSENT, main_head, number, score, score_cells, score_heads, size, with_interval
from ser.results.records.model import Amount, Beside, Number
from ser.results.records.names import amount_value
from ser.results.records.numbers import Metrics
from ser.results.records.study_numbers import MethodComparison, Relation, SavedLabels
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord
from ser.results.tables import OF_WHOLE_RUNS, difference_table

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

NOTE = f"Of pooled scores. {OF_WHOLE_RUNS}"
WORTH = (
    "worth: the amount with which training from scratch has the same pooled score, linear between its points in the logarithm "
    "of the amount; saved: share of the labels that scratch would need beyond those used. Of means over runs, no interval."
)


class Point(Model, kw_only=True):
    """One amount of a method's curve."""

    amount: Amount
    n_samples: Annotated[Number, Meta(description="Labelled target utterances.")]
    n_speakers: Annotated[Number, Meta(description="Their speakers, where these are known.")] | UnsetType = UNSET
    test: Metrics
    pooled: Metrics


class Method(Model, kw_only=True):
    """A method and its curve."""

    name: Word
    experiment: Word
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    curve: Annotated[list[Point], Meta(min_length=1)]

    @property
    def pooled(self) -> Metrics:
        """The scores at the first amount."""
        return self.curve[0].pooled


class ZeroShot(Model, kw_only=True, forbid_unknown_fields=False):
    """The source model on the target's test part."""

    test: Metrics
    pooled: Metrics


class Source(Model, kw_only=True, forbid_unknown_fields=False):
    """The source model itself."""

    zero_shot: ZeroShot
    validation: Annotated[Metrics | None, Meta(description="On the source's own validation part.")]


class Study(StudyRecord, kw_only=True):
    """Few-shot methods on the same shots: their curves over the amount of labelled target data, comparisons, labels saved."""

    schema: Literal["ser.fewshot/1"] = "ser.fewshot/1"
    notes: list[str]
    methods: Annotated[list[Method], Meta(min_length=2)]
    source: Annotated[Source | None, Meta(description="The source model itself; null without one.")]
    reference: Annotated[str, Meta(description="The method that the others are compared with.")]
    comparisons: list[MethodComparison]
    saved_labels: Annotated[
        list[SavedLabels],
        Meta(description="What each score is worth in target data; empty where scratch is not among the methods."),
    ]

    def __post_init__(self) -> None:
        names = [m.name for m in self.methods]
        require(self.reference in names, f"Expected one of the methods as reference, got {self.reference}")
        require(len(set(names)) == len(names), "Expected each method once")
        amounts = [[p.amount for p in m.curve] for m in self.methods]
        require(all(a == amounts[0] for a in amounts), "Expected the same amounts for all methods")

    def standing(self) -> Standing:
        """The reference method at the largest amount."""
        method = next(m for m in self.methods if m.name == self.reference)
        point = max(method.curve, key=lambda p: amount_value(p.amount))
        return Standing.at(f"{method.name}, {point.amount}", point.pooled)

    def members(self) -> list[tuple[str, str]]:
        return [(m.name, m.record) for m in self.methods]

    def lead(self) -> str:
        best = max(self.methods, key=lambda m: m.curve[-1].pooled.main.mean)
        last = best.curve[-1]
        return (
            f"{len(self.methods)} methods on {self.dataset}; at {last.amount} highest is {best.name}, {main_head(last.pooled)} "
            f"{with_interval(last.pooled.main)}."
        )

    def blocks(self) -> list[Block]:
        blocks = [self._curves(), self._at_the_last()]
        if self.comparisons:
            compared = [([c.amount, c.method], c, c.p_holm, ()) for c in self.comparisons]
            caption = f"Each other method against {self.reference}"
            head = ["amount", f"minus {self.reference}", self.metrics[0]]
            blocks.append(difference_table(caption, head, compared, NOTE))
        if self.saved_labels:
            rows = [[r.method, r.amount, number(r.score), _worth(r), _saved(r)] for r in self.saved_labels]
            head = ["method", "target data", self.metrics[0], "worth", "saved"]
            blocks.append(Table("Labels saved", head, rows, left=2, note=WORTH))
        return list(blocks)

    def _curves(self) -> Table:
        points = self.methods[0].curve
        rows = [["source only", *[score(self.source.zero_shot.pooled.main)] * len(points)]] if self.source else []
        rows += [[m.name, *(score(p.pooled.main) for p in m.curve)] for m in self.methods]
        rows.append(["utterances", *(size(p.n_samples) for p in points)])
        speakers = [p.n_speakers for p in points if p.n_speakers is not UNSET]
        rows += [["speakers", *map(size, speakers)]] if len(speakers) == len(points) else []
        runs = points[0].pooled.main.n
        note = f"Test predictions of all folds of the target together, mean ± std over {runs} runs."
        head = [f"pooled {self.metrics[0]}", *(p.amount for p in points)]
        return Table(f"{self.metrics[0]} over the amount of labelled target data", head, rows, note=note)

    def _at_the_last(self) -> Table:
        head = [f"at {self.methods[0].curve[-1].amount}", *score_heads(self.methods[0].curve[-1].pooled)]
        return Table("All metrics at the last amount", head, [[m.name, *score_cells(m.curve[-1].pooled)] for m in self.methods])

    def parts(self) -> Parts:
        for m in self.methods:
            yield from ((f"{m.name}, {p.amount}", {"test": p.test, "pooled": p.pooled}) for p in m.curve)

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.statistics.gains import by_amount
        from ser.results.stored.summary import amounts_of

        frames = experiments.frames(self.methods)
        zero_shot = None
        for k, m in enumerate(self.methods):
            if m.name not in frames:
                continue
            frame = frames[m.name]
            names = amounts_of(frame)
            for i, point in enumerate(m.curve):
                own = frame[names == point.amount]
                yield from experiments.scores(f"$.methods[{k}].curve[{i}]", point, own, ("test", "pooled"))
            if zero_shot is None and (names == "0%").any():
                zero_shot = frame[names == "0%"]
        if self.source is not None and zero_shot is not None:
            yield from experiments.scores("$.source.zero_shot", self.source.zero_shot, zero_shot, ("test", "pooled"))
            yield from experiments.scores("$.source", self.source, zero_shot, ("validation",))
        if len(frames) == len(self.methods):
            done = {m.name: experiments.pairs(m) for m in self.methods}
            yield "$.comparisons", self.comparisons, by_amount(done, experiments.classes(frames[self.reference]))
        yield "$.saved_labels", self.saved_labels, labels_saved(self.methods, self.source)


def worth(score: float, amounts: Sequence[float], scores: Sequence[float]) -> tuple[float, Relation]:
    """The amount at which a curve first reaches a score, linear between its points in the logarithm of the amount.

    Args:
        amounts: of target data, ascending, above 0.
        scores: of training from scratch with them.

    Returns:
        The amount, and `about`; `at most` where the first point has that score already, `more than` where the last has less.

    >>> value, relation = worth(0.6, [10, 100], [0.5, 0.7])
    >>> round(value, 3), relation
    (31.623, 'about')
    >>> worth(0.4, [10, 100], [0.5, 0.7]), worth(0.8, [10, 100], [0.5, 0.7])
    ((10.0, 'at most'), (100.0, 'more than'))
    """
    if score <= scores[0]:
        return float(amounts[0]), "at most"
    for k in range(1, len(amounts)):
        if scores[k] >= score:
            share = (score - scores[k - 1]) / (scores[k] - scores[k - 1])
            low, high = math.log(amounts[k - 1]), math.log(amounts[k])
            return math.exp(low + share * (high - low)), "about"
    return float(amounts[-1]), "more than"


def labels_saved(methods: Sequence[Method], source: Source | None) -> list[SavedLabels]:
    """The labels that methods and the source model save, in target data with which scratch has the same score.

    Percentages are measured on the curve of percentages, shots on that of shots.

    Returns:
        One row for each method and amount, and for the source model at amount `0%`; [] without training from scratch. `saved`
        is the share of the labels that scratch would need beyond those used, 1 - amount / worth, negative where scratch needs
        fewer; None where the worth is a bound.
    """
    curves = {m.name: [(*amount_value(p.amount), p.amount, p.pooled.main.mean) for p in m.curve] for m in methods}
    scratch, rows = curves.pop("scratch", []), []
    for share in (False, True):
        points = sorted((used, value) for of, used, _, value in scratch if of is share)
        if not points:
            continue
        asked = [("source only", 0.0, "0%", source.zero_shot.pooled.main.mean)] if source and share else []
        asked += [(m, used, name, value) for m, c in curves.items() for of, used, name, value in c if of is share]
        for name, used, amount, own in asked:
            value, relation = worth(own, *(list(column) for column in zip(*points, strict=True)))
            rows.append(
                SavedLabels(
                    method=name,
                    amount=amount,
                    score=own,
                    worth=value,
                    relation=relation,
                    unit="%" if share else "shots",
                    saved=1 - used / value if relation == "about" else None,
                )
            )
    return rows


def _worth(saved: SavedLabels) -> str:
    """The worth with its unit, as a bound where it is one."""
    unit = "shot" if saved.unit == "shots" and saved.worth == 1 else saved.unit
    if saved.relation == "more than":
        return f"not reached within {saved.worth:g} {unit}"
    if saved.relation == "at most":
        return f"no more than {saved.worth:g} {unit}"
    return f"{saved.worth:.0f} {unit}" if saved.worth >= 10 else f"{saved.worth:.1f} {unit}"


def _saved(saved: SavedLabels) -> str:
    """The share of labels saved; where none are saved, the factor by which more are needed."""
    if saved.saved is None:
        return ABSENT
    return f"none: {1 - saved.saved:.1f} times as many" if saved.saved < 0 else f"{100 * saved.saved:.0f} %"
