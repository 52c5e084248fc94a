"""Few-shot methods on the same shots: their curves over the amount of labelled target data, comparisons, labels saved."""

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Share, Word
from ser.results.records.model import AdjustedP, Amount, Beside, Comparison, Metrics, Number, Opening


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


class ZeroShot(Model, kw_only=True, forbid_unknown_fields=False):
    """The source model on the target's test part."""

    test: Metrics
    pooled: Metrics


class Source(Model, kw_only=True, forbid_unknown_fields=False):
    """The source model itself."""

    zero_shot: ZeroShot
    validation: Annotated[Metrics | None, Meta(description="On the source's own validation part.")]


class MethodComparison(Comparison, kw_only=True):
    """A method minus the reference at an amount, on the same shots."""

    FIRST: ClassVar = ("amount", "method")
    amount: str
    method: str
    p_holm: AdjustedP


class SavedLabels(Model, kw_only=True):
    """The worth of a score in labelled target data."""

    method: Annotated[str, Meta(description="`source only` is the source model itself, at amount 0%.")]
    amount: str
    score: Annotated[Share, Meta(description="Pooled UA, mean over runs.")]
    worth: Annotated[
        float,
        Meta(gt=0, description="Amount with which scratch has that score; linear in the logarithm of the amount."),
    ]
    relation: Literal["about", "at most", "more than"]
    unit: Literal["%", "shots"]
    saved: Annotated[
        Annotated[float, Meta(le=1)] | None,
        Meta(description="1 - amount / worth; null where the worth is a bound."),
    ]


class Study(Opening, kw_only=True):
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
