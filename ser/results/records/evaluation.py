"""The record of an evaluation of trained heads: calibration, abstention, novelty, ensembles, votes, gaps, robustness."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Positive, Sha256, Share, TableFile, Time, Word, require
from ser.results.records.evaluated_output import ConformalSets, DescribedShare, EvaluatedOutput
from ser.results.records.gaps import EvaluatedGroups, MeasuredGenders
from ser.results.records.model import ConfigHash, Environment
from ser.results.records.numbers import Comparison, Confusion, Described, Interval, Metrics, NotNegative

ShareName = Annotated[str, Meta(pattern="^[0-9]([.][0-9]{1,20})?(e-[0-9]{1,3})?$")]
Temperature = Annotated[float, Meta(gt=0)]


PROBABILITIES = ("NLL", "Brier", "ECE")  # the scores of `ProbabilityScores`


class ModelOfEvaluation(Model, kw_only=True):
    """The experiment or the saved head that is evaluated."""

    kind: Literal["experiment", "head"]
    record: Annotated[str | None, Meta(description="The summary, beside this file; null where a head lies alone.")]
    config_hash: ConfigHash | None
    runs: Positive
    folds: Positive
    heads: Annotated[int, Meta(ge=0, description="Saved heads.")]
    amount: Annotated[str | None, Meta(description="Of target data, of a few-shot record.")]


class DataOfEvaluation(Model, kw_only=True):
    """The utterances that it is evaluated on."""

    dataset: Word
    own: Annotated[
        bool,
        Meta(
            description="True if the heads have seen the corpus: then only the recorded test rows of each fold are evaluated."
        ),
    ]
    rows: str
    scheme: str
    utterances: Positive
    classes: Annotated[
        dict[str, Count],
        Meta(
            min_length=1,
            description="Class -> utterances; all classes of the head. Of dimensions and of several labels: output -> "
            "utterances that have it.",
        ),
    ]
    dropped: dict[str, Count]
    table: TableFile | None
    stores: Annotated[
        dict[str, Any], Meta(description="Features that heads were run on; empty where the recorded predictions were enough.")
    ]


class DescribedNLL(Described, kw_only=True):
    """Negative log-likelihood, nats, described over units."""

    mean: NotNegative


class DescribedBrier(Described, kw_only=True):
    """The Brier score, summed over classes, described over units."""

    mean: Annotated[float, Meta(ge=0, le=2)]


class Reliability(Model, kw_only=True):
    """The reliability curve: utterances in order of confidence, in bins of equally many, each bin the mean over units."""

    confidence: Annotated[list[NotNegative], Meta(min_length=1)]
    accuracy: Annotated[list[NotNegative], Meta(min_length=1)]
    n: Annotated[list[NotNegative], Meta(min_length=1)]

    def __post_init__(self) -> None:
        fits = len(self.confidence) == len(self.accuracy) == len(self.n)
        require(fits, "Expected as many bins in confidence, accuracy and n")


class ProbabilityScores(Model, kw_only=True):
    """Scores of probabilities."""

    NLL: DescribedNLL
    Brier: DescribedBrier
    ECE: Annotated[
        DescribedShare,
        Meta(description="Expected calibration error of the largest probability, over bins of equally many utterances."),
    ]
    ECE_by_chance: Annotated[
        DescribedShare,
        Meta(description="ECE of a perfectly calibrated head with these confidences, because utterances are few."),
    ]
    reliability: Reliability


class ScoreChange(Model, kw_only=True):
    """Calibrated minus uncalibrated, unit by unit."""

    NLL: Described
    Brier: Described
    ECE: Described


class Probabilities(Model, kw_only=True):
    """Scores of the probabilities before and after calibration; null where none was asked for."""

    uncalibrated: ProbabilityScores
    calibrated: ProbabilityScores | None
    change: ScoreChange | None

    @property
    def states(self) -> dict[str, ProbabilityScores]:
        """The scores before and, where it was asked for, after calibration, by name."""
        return {"uncalibrated": self.uncalibrated, **({"calibrated": self.calibrated} if self.calibrated else {})}


class RiskCurve(Model, kw_only=True):
    """Risk against coverage, mean over units."""

    coverage: Annotated[list[Annotated[float, Meta(gt=0, le=1)]], Meta(min_length=1)]
    risk: Annotated[list[Share], Meta(min_length=1)]

    def __post_init__(self) -> None:
        require(len(self.coverage) == len(self.risk), "Expected as many points in coverage and risk")


class Threshold(Model, kw_only=True):
    """Coverage and risk on the test utterances under thresholds from validation; risk null where nothing is answered."""

    coverage: DescribedShare
    risk: DescribedShare | None


class Selective(Model, kw_only=True):
    """Selective prediction, of the calibrated probabilities where there are any."""

    AURC: Annotated[DescribedShare, Meta(description="Area under the risk-coverage curve.")]
    E_AURC: Annotated[Described, Meta(description="Above that of a perfect order of the same answers.")]
    curve: RiskCurve
    accuracy_at: Annotated[
        dict[ShareName, DescribedShare], Meta(min_length=1, description="Coverage -> accuracy of the most confident.")
    ]
    coverage_at: Annotated[
        dict[ShareName, DescribedShare],
        Meta(
            min_length=1,
            description="Risk -> the largest coverage with no more, in hindsight: the threshold is of the test utterances.",
        ),
    ]
    from_validation: Annotated[
        Annotated[dict[ShareName, Threshold], Meta(min_length=1)] | None,
        Meta(description="By the risk asked for: thresholds from the validation part of each run and fold."),
    ]


class EvaluatedClass(Model, kw_only=True):
    """The scores of one class, means over runs or heads, and its utterances in all of them."""

    precision: Share | None
    recall: Share | None
    F1: Share | None
    support: Count


class FittedTemperature(Model, kw_only=True):
    """The temperature of one run and fold."""

    run: Count
    fold: str
    n: Positive
    temperature: Temperature


class Temperatures(Model, kw_only=True):
    """The temperatures, and the predictions that they were fitted on."""

    fitted_on: str
    corpora: Annotated[list[str], Meta(description="That the validation predictions are of.")] | UnsetType = UNSET
    refitted: Annotated[
        bool,
        Meta(
            description="True if the heads that are tested were trained again, on validation too, after the heads that the "
            "temperature is of."
        ),
    ]
    mean: Temperature
    min: Temperature
    max: Temperature
    at_bound: Count
    values: Annotated[list[FittedTemperature], Meta(min_length=1)]


class Ensemble(Model, kw_only=True):
    """The mean of the runs' probabilities, fold by fold, compared with the runs one by one; its temperature is its own."""

    members: Annotated[int, Meta(ge=2)]
    scores: Metrics
    probabilities: Probabilities
    selective: Selective
    comparison: Comparison


class Snapshots(Model, kw_only=True):
    """Of a snapshot ensemble: its snapshots one by one."""

    members: Annotated[int, Meta(ge=2)]
    UA_of_each: Annotated[list[Share], Meta(min_length=2)]
    comparison_with_last: Comparison


class HumanAccuracy(Model, kw_only=True):
    """Expected accuracy of one annotator against the label."""

    WA: Share
    UA: Share


class HeadAccuracy(Model, kw_only=True):
    """Accuracy of the head on the same utterances."""

    WA: DescribedShare
    UA: DescribedShare


class Pairwise(Model, kw_only=True):
    """Share of cases in which the head, or another annotator, names what an annotator heard."""

    head: DescribedShare
    annotators: Share


class Distances(Model, kw_only=True):
    """Distances between the head's probabilities and the annotators' votes."""

    cross_entropy: Described
    JS: DescribedShare
    TVD: DescribedShare
    entropy: Annotated[Described, Meta(description="Of the votes: the least cross-entropy there can be.")]


class VoteScores(Model, kw_only=True):
    """The head beside the annotators."""

    n: Positive
    complete: Annotated[
        int,
        Meta(
            ge=0,
            description="Utterances with the votes of all annotators; of the others the distributions are of two outcomes, "
            "the label and anything else.",
        ),
    ]
    human: HumanAccuracy
    head: HeadAccuracy
    pairwise: Pairwise | None
    uncalibrated: Distances
    calibrated: Distances | None


class Augmented(Model, kw_only=True):
    """The mean of the probabilities of several views, compared with the original."""

    views: Annotated[list[str], Meta(min_length=2)]
    scores: Metrics
    probabilities: Probabilities
    selective: Selective
    comparison: Comparison


class Separation(Model, kw_only=True):
    """Separation of known from novel utterances. FPR95: novel ones that pass where 95 % of the known ones do."""

    AUROC: DescribedShare
    FPR95: DescribedShare


class NoveltyScores(Model, kw_only=True):
    """Separation by each score, per run the mean over its heads; null where it cannot be computed."""

    energy: Separation | None
    max_softmax: Separation | None
    mahalanobis: Separation | None
    knn: Separation | None

    def known(self) -> dict[str, Separation]:
        """The scores that could be computed, by name."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: score for name, score in found.items() if score is not None}


class NoveltyCounts(Model, kw_only=True):
    """Numbers of known and novel utterances."""

    known: Count
    novel: Count


class Novelty(Model, kw_only=True):
    """One kind of novel utterances."""

    novel: Word
    dataset: str
    n: NoveltyCounts
    heads: Positive
    without_novel: Annotated[int, Meta(ge=0, description="Heads whose test speakers have no novel utterance.")]
    neighbour: Annotated[int, Meta(ge=1, description="k of knn.")]
    scores: NoveltyScores
    notes: list[str]


class SuiteCheck(Model, kw_only=True):
    """One check of the suite: a difference of the suite's metric against its limit."""

    kind: Literal["robustness", "fairness", "consistency"]
    name: Annotated[Word, Meta(description="The condition, or the groups.")]
    value: Annotated[
        float,
        Meta(
            ge=-2,
            le=2,
            description="Loss in a condition; the higher group minus the lower; the best speaker minus the worst, less "
            "the mean gap by chance.",
        ),
    ]
    ci_95: Interval
    limit: Share
    passed: Annotated[bool, Meta(description="True if the value is no more than the limit.")]
    sure: Annotated[bool | None, Meta(description="True if the whole interval is on the same side; null without an interval.")]
    UA: Annotated[Share | None, Meta(description="In a condition, mean over units.")]
    score: Annotated[
        float | UnsetType, Meta(description="Of a target without UA, its metric in a condition, mean over units.")
    ] = UNSET
    unchanged: Annotated[
        Share | None, Meta(description="Of the answers: the same class or labels as without the condition; null of dimensions.")
    ]
    p: Annotated[Share | None, Meta(description="Of the comparison with the original, or of the gap by chance.")]

    def __post_init__(self) -> None:
        require(self.passed == (self.value <= self.limit), "Expected passed where the value is no more than the limit")

    @property
    def reached(self) -> float | None:
        """The metric in a condition."""
        return self.UA if self.score is UNSET else self.score


class Suite(Model, kw_only=True):
    """Robustness in stated conditions of the test audio, gaps between groups, and consistency over speakers."""

    metric: Annotated[str, Meta(description="Judged: the metric that stands for a result of the target.")] = "UA"
    checks: Annotated[list[SuiteCheck], Meta(min_length=1)]
    limits: Annotated[dict[str, Share], Meta(description="By kind of check, or by condition.")]
    not_checked: Annotated[list[str], Meta(description="Groups that the corpus does not tell apart.")]
    stores: Annotated[dict[str, Any], Meta(description="Features of the test audio in each condition.")]


class NumbersTable(Model, kw_only=True):
    """A CSV beside the record, that its numbers were made of."""

    path: str
    rows: Count
    sha256: Sha256


class OutputEnsemble(Model, kw_only=True):
    """The mean of the runs' answers, fold by fold, compared with the runs one by one."""

    members: Annotated[int, Meta(ge=2)]
    scores: Metrics
    comparison: Comparison


class OutputViews(Model, kw_only=True):
    """The mean of the answers to several views, compared with the original."""

    views: Annotated[list[str], Meta(min_length=2)]
    scores: Metrics
    comparison: Comparison


class EvaluationOpening(Model, kw_only=True):
    """The beginning of all evaluations: what was evaluated, and on which data."""

    schema: str
    experiment: Word
    command: Word
    model: ModelOfEvaluation
    data: DataOfEvaluation
    unit: Annotated[
        Literal["run", "head"], Meta(description="What predicts every test utterance once; numbers are described over these.")
    ]
    bins: Positive
    stamps: list[str]
    environment: Environment


class OutputEvaluation(EvaluationOpening, kw_only=True):
    """Evaluation of trained heads on dimensions or several labels: each output, its curve and its intervals."""

    schema: Literal["ser.output_evaluation/1"] = "ser.output_evaluation/1"
    learns: Annotated[str, Meta(description="The target: labels, or the dimensions.")]
    scales: Annotated[dict[str, Any], Meta(description="Of dimensions: low and high, where they are stated.")]
    scores: Metrics
    outputs: Annotated[dict[str, EvaluatedOutput], Meta(min_length=1)]
    genders: MeasuredGenders | None
    ensemble: OutputEnsemble | None
    tta: OutputViews | None
    suite: Annotated[Suite | UnsetType, Meta(description="Of --suite.")] = UNSET
    notes: list[str]
    files: dict[str, NumbersTable]
    time: Time

    @property
    def parts(self) -> "dict[str, OutputEvaluation | OutputViews | OutputEnsemble]":
        """The parts with scores of their own, by name."""
        named = {"one by one": self, "mean of views": self.tta, "mean of runs": self.ensemble}
        return {name: part for name, part in named.items() if part is not None}


class Evaluation(EvaluationOpening, kw_only=True):
    """Evaluation of trained heads: calibration, abstention, novelty, ensembles, votes, gaps."""

    schema: Literal["ser.evaluation/1"] = "ser.evaluation/1"
    scores: Metrics
    probabilities: Probabilities
    selective: Selective
    confusion_matrix: Confusion
    per_class: Annotated[dict[str, EvaluatedClass], Meta(min_length=1, description="Means over the units.")]
    temperature: Temperatures | None
    groups: EvaluatedGroups
    ensemble: Ensemble | None
    snapshots: Snapshots | None
    average: Annotated[str, Meta(description="Of weights, in training: none, swa or ema.")]
    votes: VoteScores | None
    tta: Augmented | None
    novelty: list[Novelty]
    explanations: Annotated[
        str | None, Meta(description="explanations.json of --explain, relative to this file; null where it was not asked for.")
    ]
    ratings: Annotated[
        dict[str, EvaluatedOutput] | UnsetType, Meta(description="Of dimensions that one head predicts beside the class.")
    ] = UNSET
    conformal: ConformalSets | UnsetType = UNSET
    suite: Annotated[Suite | UnsetType, Meta(description="Of --suite.")] = UNSET
    notes: list[str]
    files: dict[str, NumbersTable]
    time: Time

    def __post_init__(self) -> None:
        fits = set(self.confusion_matrix.labels) == set(self.per_class)
        require(fits, "Expected the labels of confusion_matrix as the keys of per_class")

    @property
    def parts(self) -> dict[str, "Evaluation | Augmented | Ensemble"]:
        """The parts with scores and probabilities of their own, by name."""
        named = {"one by one": self, "mean of views": self.tta, "mean of runs": self.ensemble}
        return {name: part for name, part in named.items() if part is not None}


AnyEvaluation: TypeAlias = Evaluation | OutputEvaluation
