"""Layer-wise analysis: the same head on each stored layer of an encoder, or with each pooling of frames; validation chooses."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Word, require
from ser.results.blocks import Block, Table
from ser.results.cells import main_head, over_runs, score, score_cells, score_heads, with_interval
from ser.results.records.model import Beside, Notes
from ser.results.records.numbers import Metrics
from ser.results.records.study_numbers import LayerWeight, Nested, PositionComparison
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord
from ser.results.tables import OF_FOLDS, difference_table

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

ALL = "all layers"


class Position(Model, kw_only=True):
    """The head at one position: on one layer, or with one pooling."""

    name: Word
    layer: Annotated[Count, Meta(description="0 is the input of the encoder's first block.")] | UnsetType = UNSET
    pooling: Word | UnsetType = UNSET
    experiment: Word
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    validation: Metrics
    test: Metrics
    pooled: Metrics


class AllLayers(Model, kw_only=True):
    """The head on all layers: their sum with learned weights; of classifiers of scikit-learn their mean."""

    name: Literal["all layers"] = "all layers"
    experiment: Word
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    validation: Metrics
    test: Metrics
    pooled: Metrics


class Study(StudyRecord, kw_only=True):
    """Layer-wise analysis: the same head on each stored layer of an encoder, or with each pooling of frames."""

    schema: Literal["ser.layers/1"] = "ser.layers/1"
    notes: Notes | UnsetType = UNSET
    over: Literal["layers", "pooling"]
    positions: Annotated[list[Position], Meta(min_length=2)]
    chosen_by: Annotated[str, Meta(description="What decided.")]
    chosen: Annotated[str, Meta(description="Name of the position that validation chose; test scores chose nothing.")]
    all_layers: Annotated[AllLayers, Meta(description="The head on all layers.")] | UnsetType = UNSET
    weights: Annotated[list[LayerWeight], Meta(description="Of the head on all layers.")] | UnsetType = UNSET
    nested: Nested | UnsetType = UNSET
    comparisons: list[PositionComparison]

    def __post_init__(self) -> None:
        names = [p.name for p in self.positions]
        require(self.chosen in names, f"Expected one of the positions as chosen, got {self.chosen}")
        require(len({*names, ALL}) == len(names) + 1, "Expected each position once")
        others = [c.other for c in self.comparisons]
        require({*others} <= {*names, ALL}, "Expected comparisons with positions or all layers")

    @property
    def best(self) -> Position:
        """The chosen position."""
        return next(p for p in self.positions if p.name == self.chosen)

    @property
    def numbers(self) -> list[int]:
        """The layers of the positions; [] over poolings."""
        return [p.layer for p in self.positions if p.layer is not UNSET]

    @property
    def everything(self) -> list[Position | AllLayers]:
        """All positions, and the head on all layers where there is one."""
        return [*self.positions, *([self.all_layers] if self.all_layers else [])]

    def standing(self) -> Standing:
        return Standing.at(self.chosen, self.best.pooled, self.best.validation)

    def members(self) -> list[tuple[str, str]]:
        return [(p.name, p.record) for p in self.everything]

    def lead(self) -> str:
        own = self.best.pooled
        return f"Chosen on validation: {self.chosen}, {main_head(own)} {with_interval(own.main)} on test."

    def blocks(self) -> list[Block]:
        found: list[Block] = [self._scores()]
        if self.comparisons:
            compared = [([c.other], c, c.p_holm, ()) for c in self.comparisons]
            caption = f"{self.chosen}, chosen on validation, against others"
            head = [f"{self.chosen} minus", self.metrics[0]]
            found.append(difference_table(caption, head, compared, OF_FOLDS))
        if self.weights:
            rows = [[str(w.layer), score(w.weight), over_runs(w.weight)] for w in self.weights]
            runs = self.weights[0].weight.n
            note = f"Softmax over layers, mean over folds, mean ± std over runs ({runs}); equal weights: {1 / len(rows):.3f}."
            found.append(Table("Learned weights of the layers", ["layer", "weight", "95 %"], rows, note=note))
        return found

    def _scores(self) -> Table:
        rows = []
        for p in self.everything:
            mark = f"{p.name} (chosen)" if p.name == self.chosen else p.name
            rows.append([mark, score(p.validation.main), *score_cells(p.pooled), str(p.pooled.main.n)])
        note = f"Validation: mean of the folds; the others: test predictions of all folds together. Chosen by {self.chosen_by}."
        if self.nested:
            rows.append(["nested", "-", *score_cells(self.nested.pooled), str(self.nested.pooled.main.n)])
            note += " nested: chosen for each fold on its own validation part."
        title = "Scores of each layer" if self.over == "layers" else "Scores of each pooling"
        head = [
            "layer" if self.over == "layers" else "pooling",
            f"validation {self.metrics[0]}",
            *score_heads(self.best.pooled),
            "runs",
        ]
        return Table(title, head, rows, note=note)

    def parts(self) -> Parts:
        for p in self.everything:
            yield p.name, {"validation": p.validation, "test": p.test, "pooled": p.pooled}
        if self.nested:
            yield "nested", {"test": self.nested.test, "pooled": self.nested.pooled}

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.statistics.chosen_setting import nested, weights_over_runs
        from ser.results.statistics.gains import against_others

        frames = experiments.frames(self.everything)
        for k, p in enumerate(self.positions):
            yield from experiments.scores(f"$.positions[{k}]", p, frames.get(p.name))
        if self.all_layers:
            yield from experiments.scores("$.all_layers", self.all_layers, frames.get(ALL))
            records = [record for record, _ in experiments.pairs(self.all_layers)]
            again = weights_over_runs(records, self.numbers)
            if records:
                yield "$.weights", self.weights or None, again
        best = max(self.positions, key=lambda p: p.validation.main.mean)
        yield "$.chosen", self.chosen, best.name
        if len(frames) == len(self.everything):
            classes = experiments.classes(frames[self.chosen])
            others = [c.other for c in self.comparisons]
            yield "$.comparisons", self.comparisons, against_others(self.chosen, others, frames, classes)
            found = nested([setting(p) for p in self.positions], [experiments.pairs(p) for p in self.positions], classes)
            yield "$.nested", self.nested or None, found


def setting(position: Position) -> dict[str, Any]:
    """A position as the setting of an experiment."""
    return {"layer": position.layer} if position.layer is not UNSET else {"pooling": position.pooling}
