"""Records as typed objects: the fields that all have in common, a run's record, and the summaries of experiments.

Their numbers are in `numbers.py` beside this file. The records of studies are beside what shows them, in `ser.results.studies`;
those of evaluations, explanations and comparisons in files of these names here. `ser.results.records.kinds` knows them all.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Sha256, Share, Time, Word, require
from ser.results.records.numbers import (
    AdjustedComparison,
    ByFold,
    ByOutput,
    ByRating,
    Confusion,
    Groups,
    MeanOverFolds,
    Metrics,
    Numbers,
    PerClass,
    PooledOverFolds,
    RunScores,
    Suspect,
    require_details,
)

ConfigHash = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{12}$",
        description="First 12 hexadecimal digits of the SHA-256 of the configuration's JSON with sorted keys.",
    ),
]
Amount = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,9}([.][0-9]{1,20})?(e-[0-9]{1,2})?%|[0-9]{1,9} shots?)$",
        description="Few-shot: share of the target's training part, or number of utterances of each class.",
    ),
]
Beside = Annotated[str, Meta(min_length=1, description="Path from this file's folder.")]
Stamps = Annotated[list[str], Meta(description="What a reader of the numbers must know.")]
Notes = Annotated[list[str], Meta(description="The runs' notes, each with run and fold.")]


def amount_name(percentage: float | None = None, shots: int | None = None) -> str:
    """The key of an amount in a few-shot summary.

    >>> amount_name(12.5), amount_name(shots=1), amount_name(shots=5)
    ('12.5%', '1 shot', '5 shots')
    """
    if shots is not None:
        return f"{shots} shot" if shots == 1 else f"{shots} shots"
    return f"{percentage:g}%"


class Environment(Model, kw_only=True, forbid_unknown_fields=False):
    """The place of a computation: versions, machine, commit; no name of a person, a host or a folder."""

    python: str
    platform: str | UnsetType = UNSET
    cpus: int | UnsetType = UNSET
    ser: str
    packages: dict[str, str | None]
    commit: str | UnsetType | None = UNSET
    modified: bool | UnsetType | None = UNSET
    device: str
    kernels: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether products of few rows with large weights are computed by functions that were compiled for the "
            "processor (`ser.train.nn.kernels`), not by torch; missing if no network was trained."
        ),
    ] = UNSET


class Opening(Model, kw_only=True):
    """The beginning of all results: options, data, time and code."""

    schema: str
    experiment: Word
    command: Word
    config: Annotated[dict[str, Any], Meta(description="What was asked.")]
    config_hash: ConfigHash
    data: Annotated[dict[str, Any], Meta(description="Tables, stores and their hashes, scheme, protocol.")]
    stamps: Stamps
    environment: Environment
    time: Time


def tested_utterances(numbers: "Summary | Numbers") -> float:
    """The number of test utterances in a run."""
    if numbers.per_class:
        return sum(c.support for c in numbers.per_class.values())
    return sum(fold.n for fold in (numbers.folds or {}).values())


class RunRow(Model, kw_only=True, forbid_unknown_fields=False):
    """One run on one fold, in a summary."""

    run: Count
    fold: Word
    seed: int
    percentage: Annotated[float, Meta(ge=0, le=100)] | UnsetType = UNSET
    shots: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    best_epoch: Count | UnsetType | None = UNSET
    seconds: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    record: Beside
    predictions: Beside


Runs = Annotated[list[RunRow], Meta(min_length=1)]


class AloneExperiment(Model, kw_only=True, forbid_unknown_fields=False):
    """The experiment on one corpus by itself, that a union's head is compared with."""

    experiment: Word
    record: Beside
    validation: Metrics | None
    test: Metrics
    pooled: Metrics


class CorpusNumbers(Numbers, kw_only=True):
    """Of a union of corpora: the numbers of one of them, beside those of its own head."""

    alone: AloneExperiment
    comparison: Annotated[AdjustedComparison, Meta(description="Combined minus alone.")]


class AnySummary(Opening, kw_only=True, forbid_unknown_fields=False):
    """The summary of an experiment over its runs."""

    schema: Literal["ser.summary/1"] = "ser.summary/1"


class Summary(AnySummary, kw_only=True, forbid_unknown_fields=False):
    """The summary of an experiment over its runs."""

    validation: Annotated[Metrics | None, Meta(description="As test, over the validation parts; null where there are none.")]
    test: MeanOverFolds
    pooled: PooledOverFolds
    confusion_matrix: Confusion | UnsetType = UNSET
    per_class: PerClass | UnsetType = UNSET
    outputs: ByOutput | UnsetType = UNSET
    ratings: ByRating | UnsetType = UNSET
    groups: Groups
    folds: ByFold | UnsetType = UNSET
    runs: Runs
    notes: Notes | UnsetType = UNSET
    suspects: list[Suspect] | UnsetType = UNSET
    datasets: Annotated[dict[str, CorpusNumbers], Meta(description="Of a union of corpora, by corpus.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        require_details(self)


class Spread(Model, kw_only=True):
    """A number that differs between folds or runs."""

    mean: float
    min: int
    max: int


Number = Annotated[Count | Spread, Meta(description="One number, or its spread where folds or runs differ.")]


class AmountNumbers(Numbers, kw_only=True):
    """The numbers of a few-shot experiment at one amount of labelled target data."""

    FIRST: ClassVar = ("n_samples", "n_speakers")
    n_samples: Annotated[Number, Meta(description="Labelled target utterances trained on.")]
    n_speakers: Annotated[Number, Meta(description="Their speakers, where these are known.")] | UnsetType = UNSET


class SourceModel(Model, kw_only=True, forbid_unknown_fields=False):
    """The source model itself."""

    zero_shot: Annotated[Numbers, Meta(description="On the target's test part, before any target label.")]
    validation: Annotated[Metrics | None, Meta(description="On the source's own validation part.")]


class FewshotSummary(AnySummary, kw_only=True, forbid_unknown_fields=False):
    """The summary of a few-shot experiment over its runs, for each amount of labelled target data."""

    percentages: Annotated[dict[Amount, AmountNumbers], Meta(min_length=1)]
    source: SourceModel | UnsetType = UNSET
    runs: Runs
    notes: Notes | UnsetType = UNSET

    def __post_init__(self) -> None:
        known = {amount_name(run.percentage or 0.0, run.shots or None) for run in self.runs}
        lost = [amount for amount in self.percentages if amount not in known]
        require(not lost, f"Expected runs of each amount, got none of {', '.join(lost)}")


class Sizes(Model, kw_only=True, forbid_unknown_fields=False):
    """Numbers of utterances in the parts of a fold."""

    train: Count
    validation: Count
    test: Count
    unlabelled: Annotated[Count, Meta(description="Of the target, without labels.")] | UnsetType = UNSET
    before: Annotated[Count, Meta(description="Of the first of two trainings.")] | UnsetType = UNSET
    sampled: Annotated[Count, Meta(description="Drawn in an epoch where corpora are balanced.")] | UnsetType = UNSET


class RunResult(Model, kw_only=True, forbid_unknown_fields=False):
    """One run on one fold: its training and its scores."""

    experiment: Word
    config_hash: ConfigHash | UnsetType = UNSET
    run: Count
    fold: Annotated[str, Meta(min_length=1, description="The protocol's name of the fold.")]
    seed: int
    percentage: (
        Annotated[
            float,
            Meta(ge=0, le=100, description="Few-shot: share of the target's training data; 0 is the source model itself."),
        ]
        | UnsetType
    ) = UNSET
    shots: Annotated[int, Meta(ge=1, description="Few-shot: labelled target utterances of each class.")] | UnsetType = UNSET
    n: Annotated[Sizes, Meta(description="Utterances in each part.")]
    speakers: Annotated[int, Meta(ge=1, description="Few-shot: speakers of the labelled target utterances.")] | UnsetType = (
        UNSET
    )
    epochs: Annotated[int, Meta(ge=0, description="Epochs trained.")] | UnsetType = UNSET
    best_epoch: Annotated[Count | UnsetType | None, Meta(description="Epoch whose weights were kept.")] = UNSET
    selection: Annotated[str, Meta(description="What chose the epoch.")] | UnsetType = UNSET
    probabilities: (
        Annotated[str, Meta(description="scikit-learn only: predict_proba, or softmax of decision_function.")] | UnsetType
    ) = UNSET
    layer_weights: (
        Annotated[
            dict[str, list[Share]],
            Meta(description="Store -> the learned weight of each of its layers, adding up to 1; of heads that sum layers."),
        ]
        | UnsetType
    ) = UNSET
    curves: (
        Annotated[
            dict[str, list[float | None]], Meta(description="Name -> one number per epoch; null where it was not computed.")
        ]
        | UnsetType
    ) = UNSET
    validation: RunScores | UnsetType | None = UNSET
    test: RunScores
    seconds: Annotated[float, Meta(ge=0)]
    notes: (
        Annotated[list[str], Meta(description="What a reader must know: a collapse, a fit that did not converge.")] | UnsetType
    ) = UNSET


class RunRecord(RunResult, kw_only=True, forbid_unknown_fields=False):
    """The record of one run on one fold."""

    schema: Literal["ser.run/1"] = "ser.run/1"
    predictions: Annotated[str, Meta(pattern=r"^[^/\\]+\.csv$", description="File of this run's predictions, beside this one.")]
    predictions_sha256: Sha256
