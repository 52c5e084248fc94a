"""Transfer from a source corpus to a target: adaptation or fine-tuning beside the source's head alone and the target's."""

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType, field

from ser.jsonfile import Model, Word
from ser.results.records.model import AdjustedP, Beside, Comparison, Metrics, Opening, Stamps, Suspect


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
    chosen: (
        Annotated[bool, Meta(description="True if its lambda has the best selection score of its method.")] | UnsetType
    ) = UNSET


class Gain(Comparison, kw_only=True):
    """A variant minus the source's head alone."""

    FIRST: ClassVar = ("variant",)
    variant: Annotated[str, Meta(description="Compared with the source's head alone.")]
    p_holm: AdjustedP
    gap_closed: Annotated[
        float | None,
        Meta(
            description="Share of the way from source only to target only; null where the interval of that gain is not above "
            "0."
        ),
    ]
    verdict: str


class Study(Opening, kw_only=True):
    """Transfer from a source corpus to a target: adaptation or fine-tuning beside the source's head alone and the target's."""

    schema: Literal["ser.transfer/1"] = "ser.transfer/1"
    task: Literal["adapt", "finetune"]
    notes: list[str]
    variants: Annotated[list[Variant], Meta(min_length=2)]
    comparisons: list[Gain]
    suspects: list[Suspect]
