"""Numbers of records: metrics described over runs, of classes, groups and folds, and differences between systems."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Protocol

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Share, require

METRICS = ("UA", "WA", "WF1", "Macro_F1")
OF_DIMENSIONS, OF_LABELS = ("CCC", "PCC", "RMSE"), ("F1_macro", "F1_micro", "exact", "Hamming")
OF_VOTES = (*METRICS, "KL", "JS", "cosine", "F1_1K")
FAMILIES = (METRICS, OF_DIMENSIONS, OF_LABELS, OF_VOTES)  # the metrics of each kind of target
MORE_METRICS = (*OF_DIMENSIONS, *OF_LABELS, *OF_VOTES[len(METRICS) :])

Interval = tuple[float, float] | None
NotNegative = Annotated[float, Meta(ge=0)]
MetricName = Annotated[
    str, Meta(pattern=f"^({'|'.join((*METRICS, *MORE_METRICS))})$", description="Pooled over folds, mean over runs.")
]


class Described(Model, kw_only=True):
    """A number described over runs (or other units)."""

    mean: float
    std: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="n - 1 in the denominator; null with one run.")]
    ci_95: Annotated[Interval, Meta(description="Student's t interval of the mean over runs; null with one run.")]
    n: Annotated[int, Meta(ge=1, description="Runs.")]
    values: Annotated[list[float], Meta(min_length=1, description="One value per run, in the order of the runs.")]


class Metric(Described, kw_only=True):
    """A metric between 0 and 1 described over runs."""

    mean: Share
    values: Annotated[list[Share], Meta(min_length=1, description="One value per run, in the order of the runs.")]
    ci_95_speakers: (
        Annotated[
            Interval,
            Meta(
                description="Percentile interval over 1,000 resamples of whole speakers; null where speakers are not known or "
                "there is one."
            ),
        ]
        | UnsetType
    ) = UNSET


class Correlation(Metric, kw_only=True):
    """A coefficient between -1 and 1 described over runs."""

    mean: Annotated[float, Meta(ge=-1, le=1)]
    values: Annotated[list[Annotated[float, Meta(ge=-1, le=1)]], Meta(min_length=1)]


class Error(Metric, kw_only=True):
    """A number of 0 or more described over runs, lower is better."""

    mean: Annotated[float, Meta(ge=0)]
    values: Annotated[list[Annotated[float, Meta(ge=0)]], Meta(min_length=1)]


LOWER_IS_BETTER = ("RMSE", "KL", "JS", "Hamming")
RANGES: dict[str, type[Metric]] = {"CCC": Correlation, "PCC": Correlation, "RMSE": Error, "KL": Error}


class Scored(Model, kw_only=True):
    """Scores by metric. Those of one kind of target are there, and are given in the order of the fields."""

    ORDER: ClassVar[tuple[str, ...]] = (*METRICS, *MORE_METRICS)

    @property
    def names(self) -> list[str]:
        """The metrics that are there; the first stands for the result."""
        return [name for name in self.ORDER if getattr(self, name, UNSET) is not UNSET]


class Metrics(Scored, kw_only=True):
    """The metrics of one kind of target."""

    UA: (
        Annotated[Metric, Meta(description="Unweighted average recall (UAR) over the classes that the truth has.")] | UnsetType
    ) = UNSET
    WA: Annotated[Metric, Meta(description="Accuracy.")] | UnsetType = UNSET
    WF1: Annotated[Metric, Meta(description="F1 weighted by support.")] | UnsetType = UNSET
    Macro_F1: Annotated[Metric, Meta(description="Mean F1 over the classes in truth or predictions.")] | UnsetType = UNSET
    CCC: Annotated[Correlation, Meta(description="Concordance correlation, mean over the dimensions.")] | UnsetType = UNSET
    PCC: Annotated[Correlation, Meta(description="Pearson correlation, mean over the dimensions.")] | UnsetType = UNSET
    RMSE: (
        Annotated[Error, Meta(description="Root mean square error on the ratings' scale, mean over the dimensions.")]
        | UnsetType
    ) = UNSET
    F1_macro: Annotated[Metric, Meta(description="Mean F1 over the labels in truth or predictions.")] | UnsetType = UNSET
    F1_micro: Annotated[Metric, Meta(description="F1 over all answers, one for each utterance and label.")] | UnsetType = UNSET
    exact: Annotated[Metric, Meta(description="Share of utterances with all labels right.")] | UnsetType = UNSET
    Hamming: Annotated[Metric, Meta(description="Share of wrong answers over utterances and labels.")] | UnsetType = UNSET
    KL: (
        Annotated[Error, Meta(description="Kullback-Leibler divergence of the votes from the prediction, nats.")] | UnsetType
    ) = UNSET
    JS: Annotated[Metric, Meta(description="Jensen-Shannon divergence of votes and prediction, base 2.")] | UnsetType = UNSET
    cosine: Annotated[Metric, Meta(description="Cosine of votes and prediction.")] | UnsetType = UNSET
    F1_1K: Annotated[Metric, Meta(description="Macro-F1 of classes above 1 / K in votes and in prediction.")] | UnsetType = (
        UNSET
    )

    def __post_init__(self) -> None:
        fits = tuple(self.names) in FAMILIES
        require(fits, f"Expected the metrics of one kind of target, such as {', '.join(METRICS)}")

    def of(self, name: str) -> Metric:
        """The metric of a name."""
        found: Metric = getattr(self, name)
        return found

    def items(self) -> Iterator[tuple[str, Metric]]:
        """All metrics with their names."""
        return ((name, self.of(name)) for name in self.names)

    @property
    def main(self) -> Metric:
        """The metric that stands for the result: UA of classes, CCC of dimensions, F1_macro of several labels."""
        return self.of(self.names[0])


class FoldMetrics(Metrics, kw_only=True):
    """The test metrics of one fold."""

    n: Annotated[int, Meta(ge=1, description="Test utterances.")]


class Confusion(Model, kw_only=True):
    """Confusion counts of test predictions, summed over folds and runs."""

    labels: Annotated[list[str], Meta(min_length=1)]
    counts: Annotated[list[list[Count]], Meta(description="Rows are true classes, columns predicted ones.")]
    runs: Annotated[int, Meta(ge=1, description="Number of runs that the counts are summed over.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        require(len(set(self.labels)) == len(self.labels), "Expected each label once")
        size = len(self.labels)
        square = len(self.counts) == size and all(len(row) == size for row in self.counts)
        require(square, f"Expected {size} rows of {size} counts, one for each label")


class ClassScores(Model, kw_only=True, forbid_unknown_fields=False):
    """The scores of one class, of the pooled test predictions, mean over runs."""

    precision: Annotated[
        Share | None, Meta(description="0 for a class never predicted; null for one that is not in the truth either.")
    ]
    recall: Annotated[Share | None, Meta(description="null for a class that the truth does not have.")]
    F1: Annotated[Share | None, Meta(description="null for a class in neither truth nor predictions.")]
    support: Annotated[Count | Annotated[float, Meta(ge=0)], Meta(description="Test utterances of the class in a run.")]


PerClass = dict[str, ClassScores]


class OutputScores(Model, kw_only=True, forbid_unknown_fields=False):
    """The scores of one dimension or one of several labels, of the pooled test predictions, mean over runs."""

    CCC: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    PCC: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    RMSE: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    F1: Share | UnsetType = UNSET
    support: Annotated[
        Count | Annotated[float, Meta(ge=0)], Meta(description="Test utterances with it in a run: rated, or labelled so.")
    ]


ByOutput = Annotated[dict[str, OutputScores], Meta(description="By dimension, or by one of several labels.")]
ByRating = Annotated[dict[str, OutputScores], Meta(description="Of dimensions that one head predicts beside the class.")]


class HasDetails(Protocol):
    """Numbers with those of each class, or of each dimension or label where the target is one of these."""

    confusion_matrix: Confusion | UnsetType
    per_class: PerClass | UnsetType
    outputs: ByOutput | UnsetType


def require_details(numbers: HasDetails) -> None:
    """Refuse numbers with neither the classes nor the outputs, or with a part of them."""
    matrix, own = numbers.confusion_matrix, numbers.per_class
    if numbers.outputs is UNSET and matrix is not UNSET and own is not UNSET:
        fits = set(matrix.labels) == set(own)
        require(fits, "Expected the labels of confusion_matrix as the keys of per_class")
    else:
        fits = numbers.outputs is not UNSET and matrix is UNSET and own is UNSET
        require(fits, "Expected confusion_matrix and per_class, or outputs")


def matrix_of(numbers: HasDetails) -> Confusion:
    """The confusion matrix of a target of classes."""
    assert numbers.confusion_matrix is not UNSET
    return numbers.confusion_matrix


def classes_of(numbers: HasDetails) -> list[str]:
    """The classes, or the dimensions or labels, in order."""
    return list(numbers.outputs) if numbers.outputs else list(matrix_of(numbers).labels)


class HasSupport(Protocol):
    """The scores of a class, with its number of utterances."""

    @property
    def support(self) -> float: ...


def chance(per_class: Mapping[str, HasSupport]) -> float:
    """The UA of a system that always answers one class of the test part: 1 by the number of these, over which UA is the mean.

    No system that does not look at the utterances has a higher one to expect, whatever it answers.
    """
    return 1 / sum(scores.support > 0 for scores in per_class.values())


class GroupGap(Scored, kw_only=True, forbid_unknown_fields=False):
    """The highest group minus the lowest, of two metrics of the target."""

    UA: Share | UnsetType = UNSET
    WA: Share | UnsetType = UNSET
    CCC: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    RMSE: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    F1_macro: Share | UnsetType = UNSET
    Hamming: Share | UnsetType = UNSET

    def of(self, name: str) -> float | None:
        """The score of a name; None where it is not defined."""
        value = getattr(self, name, UNSET)
        return None if value is UNSET else float(value)


class GroupScores(GroupGap, kw_only=True, forbid_unknown_fields=False):
    """The scores of one gender or speaker, pooled over folds, mean over runs; UA over the classes of the group's truth."""

    CCC: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    n: Count


class Groups(Model, kw_only=True, forbid_unknown_fields=False):
    """Scores by gender and by speaker; a gap is null where there are not two groups."""

    gender: dict[str, GroupScores]
    gender_gap: GroupGap | None
    speaker: dict[str, GroupScores]
    speaker_gap: GroupGap | None


MeanOverFolds = Annotated[Metrics, Meta(description="One value per run: the mean over the run's folds of each fold's metric.")]
PooledOverFolds = Annotated[
    Metrics,
    Meta(
        description="One value per run: the metric over the test predictions of all its folds together, every utterance once."
    ),
]
ByFold = Annotated[dict[str, FoldMetrics], Meta(description="By the fold's name.")]


class Numbers(Model, kw_only=True, forbid_unknown_fields=False):
    """All numbers that follow from the predictions of an experiment's runs."""

    validation: Annotated[
        Metrics | UnsetType | None, Meta(description="As test, over the validation parts; null where there are none.")
    ] = UNSET
    test: MeanOverFolds
    pooled: PooledOverFolds
    confusion_matrix: Confusion | UnsetType = UNSET
    per_class: PerClass | UnsetType = UNSET
    outputs: ByOutput | UnsetType = UNSET
    ratings: ByRating | UnsetType = UNSET
    groups: Groups | UnsetType = UNSET
    folds: ByFold | UnsetType = UNSET

    def __post_init__(self) -> None:
        require_details(self)


class Tested(Model, kw_only=True):
    """A permutation test."""

    p: Share
    units: Annotated[int, Meta(ge=2)]


class Tests(Model, kw_only=True):
    """Permutation tests: the models (runs) exchanged; the predictions of each speaker exchanged."""

    models: Tested | None
    speakers: Tested | None


class Comparison(Model, kw_only=True):
    """Two systems compared in pairs on the same test utterances; see `ser.results.statistics.paired`."""

    metric: MetricName
    difference: Annotated[
        float, Meta(description="The first minus the second; of correlations and errors it may be beyond -1 and 1.")
    ]
    ci_95: Annotated[Interval, Meta(description="Speakers and runs drawn again; over runs where speakers are not known.")]
    effect_size: Annotated[
        float | None, Meta(description="Cohen's d_z over speakers; over models where speakers are not known.")
    ]
    tests: Tests
    p: Annotated[
        Share | None, Meta(description="Of both together: other seeds and other speakers; the larger of the two with one run.")
    ]


AdjustedP = Annotated[Share | None, Meta(description="Adjusted for the number of comparisons (Holm).")]


class MistakenFor(Model, kw_only=True):
    """A true class, the class that it is predicted as, and the share of its utterances."""

    true: str
    predicted: str
    share: float


class Suspect(Model, kw_only=True):
    """Classes that are predicted as each other: the sign of a swapped label map."""

    classes: Annotated[list[str], Meta(min_length=2)]
    gain: Annotated[float, Meta(description="Rise of their mean recall if they were exchanged.")]
    p: float | None
    confusion: list[MistakenFor]
    variant: str | UnsetType = UNSET


class AdjustedComparison(Comparison, kw_only=True):
    """A comparison of several, with its p-value adjusted for their number, and in words."""

    p_holm: AdjustedP
    verdict: str


class RunScores(Scored, kw_only=True, forbid_unknown_fields=False):
    """The metrics of one run on one fold."""

    UA: Share | UnsetType = UNSET
    WA: Share | UnsetType = UNSET
    WF1: Share | UnsetType = UNSET
    Macro_F1: Share | UnsetType = UNSET
    CCC: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    PCC: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    RMSE: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    F1_macro: Share | UnsetType = UNSET
    F1_micro: Share | UnsetType = UNSET
    exact: Share | UnsetType = UNSET
    Hamming: Share | UnsetType = UNSET
    KL: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    JS: Share | UnsetType = UNSET
    cosine: Share | UnsetType = UNSET
    F1_1K: Share | UnsetType = UNSET

    def __post_init__(self) -> None:
        require(tuple(self.names) in FAMILIES, f"Expected the metrics of one kind of target, such as {', '.join(METRICS)}")

    def of(self, name: str) -> float:
        """The metric of a name."""
        return float(getattr(self, name))

    @property
    def main(self) -> float:
        """The metric that stands for the result."""
        return self.of(self.names[0])
