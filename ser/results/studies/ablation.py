"""Ablation: the same experiment with fewer modalities or simpler fusion, compared in pairs with the full model."""

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Word
from ser.results.records.model import AdjustedP, Beside, Comparison, Metrics, Notes, Opening


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


class VariantComparison(Comparison, kw_only=True):
    """The full model minus a variant."""

    FIRST: ClassVar = ("variant",)
    variant: Annotated[str, Meta(description="Compared with the full model.")]
    p_holm: AdjustedP


class Study(Opening, kw_only=True):
    """Ablation: the same experiment with fewer modalities or simpler fusion, compared in pairs with the full model."""

    schema: Literal["ser.ablation/1"] = "ser.ablation/1"
    notes: Notes | UnsetType = UNSET
    full: Annotated[str, Meta(description="Name of the variant that the others are compared with.")]
    variants: Annotated[list[Variant], Meta(min_length=2)]
    comparisons: list[VariantComparison]
