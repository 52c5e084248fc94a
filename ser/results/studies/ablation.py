"""Ablation: the same experiment with fewer modalities or simpler fusion, compared in pairs with the full model."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Word, require
from ser.results.blocks import Block, Table
from ser.results.cells import main_head, score_cells, score_heads, with_interval
from ser.results.records.model import Beside, Notes
from ser.results.records.numbers import Metrics
from ser.results.records.study_numbers import VariantComparison
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord
from ser.results.tables import OF_FOLDS, difference_table

if TYPE_CHECKING:
    from ser.results.stored.study_experiments import Experiments

NOTE = f"{OF_FOLDS} Five speakers cannot give a p below 0.0625."


class Variant(Model, kw_only=True):
    """A head on the features of some modalities."""

    name: Word
    head: Word
    modalities: Annotated[list[str], Meta(min_length=1)]
    stores: Annotated[list[str], Meta(min_length=1)]
    experiment: Word
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    validation: Metrics | None
    test: Metrics
    pooled: Metrics


class Study(StudyRecord, kw_only=True):
    """Ablation: the same experiment with fewer modalities or simpler fusion, compared in pairs with the full model."""

    schema: Literal["ser.ablation/1"] = "ser.ablation/1"
    notes: Notes | UnsetType = UNSET
    full: Annotated[str, Meta(description="Name of the variant that the others are compared with.")]
    variants: Annotated[list[Variant], Meta(min_length=2)]
    comparisons: list[VariantComparison]

    def __post_init__(self) -> None:
        names = [v.name for v in self.variants]
        require(self.full in names, f"Expected one of the variants as full, got {self.full}")
        require(len(set(names)) == len(names), "Expected each variant once")

    def _full(self) -> Variant:
        return next(v for v in self.variants if v.name == self.full)

    def standing(self) -> Standing:
        return Standing.at(self.full, self._full().pooled, self._full().validation)

    def members(self) -> list[tuple[str, str]]:
        return [(v.name, v.record) for v in self.variants]

    def lead(self) -> str:
        full = self._full().pooled
        return f"{main_head(full)} of the full model on {self.dataset}: {with_interval(full.main)}."

    def blocks(self) -> list[Block]:
        rows = [[v.name, v.head, "+".join(v.stores), *score_cells(v.pooled), str(v.pooled.main.n)] for v in self.variants]
        note = "Test predictions of all folds together, mean ± std over runs."
        compared = [([c.variant], c, c.p_holm, ()) for c in self.comparisons]
        head = ["full model minus", main_head(self._full().pooled)]
        return [
            Table(
                "Scores of each variant",
                ["variant", "head", "features", *score_heads(self._full().pooled), "runs"],
                rows,
                left=3,
                note=note,
            ),
            difference_table("The full model against each other variant", head, compared, NOTE),
        ]

    def parts(self) -> Parts:
        yield from ((v.name, {"validation": v.validation, "test": v.test, "pooled": v.pooled}) for v in self.variants)

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.statistics.gains import against

        frames = experiments.frames(self.variants)
        for k, v in enumerate(self.variants):
            yield from experiments.scores(f"$.variants[{k}]", v, frames.get(v.name))
        if len(frames) == len(self.variants):
            classes = experiments.classes(frames[self.full])
            yield "$.comparisons", self.comparisons, against(self.full, frames, classes)
