"""The numbers of an evaluation on one dimension or one label, and of sets and intervals that are to hold the true value."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Share, require
from ser.results.records.numbers import Described, Interval, Metrics, NotNegative


class DescribedShare(Described, kw_only=True):
    """A share described over units."""

    mean: Share


class ConformalSets(Model, kw_only=True):
    """Sets of classes that are to hold the true one with a stated frequency, see `ser.results.metrics.conformal`."""

    asked: Annotated[float, Meta(gt=0, lt=1, description="The coverage that was asked for.")]
    coverage: Annotated[DescribedShare, Meta(description="Share of test utterances whose set holds the true class.")]
    size: Annotated[Described, Meta(description="Classes in a set.")]
    single: Annotated[DescribedShare, Meta(description="Share of sets of one class.")]
    empty: Annotated[DescribedShare, Meta(description="Share of sets without a class.")]
    ci_95_speakers: Annotated[Interval, Meta(description="Of the coverage; null where speakers are not known.")]
    by_class: Annotated[dict[str, Share], Meta(description="Coverage of the utterances of each class.")]


class OutputCurve(Model, kw_only=True):
    """Utterances in order of the prediction, in bins of equally many, each bin the mean over units."""

    predicted: Annotated[list[float], Meta(min_length=1)]
    rated: Annotated[list[float], Meta(min_length=1, description="Of a label the share of utterances that have it.")]
    n: Annotated[list[NotNegative], Meta(min_length=1)]

    def __post_init__(self) -> None:
        fits = len(self.predicted) == len(self.rated) == len(self.n)
        require(fits, "Expected as many bins in predicted, rated and n")


class ConformalInterval(Model, kw_only=True):
    """Intervals that are to hold the rated value with a stated frequency, see `ser.results.metrics.conformal`."""

    asked: Annotated[float, Meta(gt=0, lt=1, description="The coverage that was asked for.")]
    coverage: Annotated[DescribedShare, Meta(description="Share of test utterances whose interval holds the rating.")]
    margin: Annotated[
        Described | None, Meta(description="Half the length of an interval, on the ratings' scale; null where one has no ends.")
    ]
    ci_95_speakers: Annotated[Interval, Meta(description="Of the coverage; null where speakers are not known.")]


class EvaluatedOutput(Model, kw_only=True):
    """One dimension or one of several labels, see `ser.results.metrics.outputs`."""

    scores: Metrics
    bias: Annotated[Described, Meta(description="Mean of predicted minus rated.")]
    slope: Annotated[
        Described | None, Meta(description="Of the rated on the predicted value; null where predictions do not vary.")
    ]
    gap: Annotated[Described, Meta(description="Mean distance of the curve from the predictions.")]
    curve: OutputCurve
    interval: ConformalInterval | UnsetType = UNSET
    answers: Annotated[
        ConformalSets | UnsetType, Meta(description="Of a label: sets of yes and no that are to hold the true one.")
    ] = UNSET
