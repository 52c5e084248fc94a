"""Numbers of studies that `statistics` and `metrics` compute: differences, labels saved, weights of layers, nested choices."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from ser.jsonfile import Count, Model
from ser.results.records.numbers import AdjustedP, Comparison, Described, Metrics

Relation = Literal["about", "at most", "more than"]


class VariantComparison(Comparison, kw_only=True):
    """The full model minus a variant."""

    FIRST: ClassVar = ("variant",)
    variant: Annotated[str, Meta(description="Compared with the full model.")]
    p_holm: AdjustedP


class PositionComparison(Comparison, kw_only=True):
    """The chosen position minus another."""

    FIRST: ClassVar = ("other",)
    other: Annotated[str, Meta(description="Compared with the chosen one.")]
    p_holm: AdjustedP


class MethodComparison(Comparison, kw_only=True):
    """A method minus the reference at an amount, on the same shots."""

    FIRST: ClassVar = ("amount", "method")
    amount: str
    method: str
    p_holm: AdjustedP


class Gain(Comparison, kw_only=True):
    """A variant minus the source's head alone."""

    FIRST: ClassVar = ("variant",)
    variant: Annotated[str, Meta(description="Compared with the source's head alone.")]
    p_holm: AdjustedP
    gap_closed: Annotated[
        float | None,
        Meta(
            description="Share of the way from source only to target only; null where the interval of that gain is not above 0."
        ),
    ]
    verdict: str


class SavedLabels(Model, kw_only=True):
    """The worth of a score in labelled target data."""

    method: Annotated[str, Meta(description="`source only` is the source model itself, at amount 0%.")]
    amount: str
    score: Annotated[float, Meta(ge=-1, le=1, description="Pooled UA, of other targets their first metric, mean over runs.")]
    worth: Annotated[
        float, Meta(gt=0, description="Amount with which scratch has that score; linear in the logarithm of the amount.")
    ]
    relation: Relation
    unit: Literal["%", "shots"]
    saved: Annotated[
        Annotated[float, Meta(le=1)] | None, Meta(description="1 - amount / worth; null where the worth is a bound.")
    ]


class LayerWeight(Model, kw_only=True):
    """The weight of one layer in the head on all of them, mean over folds, described over runs."""

    layer: Count
    weight: Described


class Nested(Model, kw_only=True):
    """Several folds: each fold's setting chosen on its own validation part alone, its test part predicted with it."""

    settings: Annotated[dict[str, dict[str, Any]], Meta(description="By fold.")]
    test: Metrics
    pooled: Metrics
