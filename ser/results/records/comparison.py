"""The record of results compared in pairs: `ser results compare --output`."""

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Model, Positive, Share
from ser.results.records.model import Beside, ConfigHash, Opening
from ser.results.records.numbers import AdjustedP, Comparison, Interval, MetricName, Metrics


class Compared(Model, kw_only=True):
    """One of the results that are compared."""

    name: Annotated[str, Meta(pattern="^[A-Z][0-9]*$")]
    experiment: Annotated[str, Meta(min_length=1)]
    record: Annotated[Beside, Meta(description="Its summary, from this file's folder.")]
    command: str
    config_hash: ConfigHash
    head: str
    features: list[str]
    amount: Annotated[str | None, Meta(description="Few-shot: of target data.")]
    stamps: list[str]
    pooled: Metrics


class Row(Model, kw_only=True):
    """A score of both systems, and its difference; null where it is not defined."""

    a: float | None
    b: float | None
    difference: float | None
    ci_95: Interval
    speakers: Positive | UnsetType = UNSET
    n: Annotated[Positive, Meta(description="Utterances.")] | UnsetType = UNSET


class ClassRows(Model, kw_only=True):
    """The scores of one class."""

    recall: Row
    precision: Row
    F1: Row


class SystemGap(Model, kw_only=True):
    """The difference between two genders, of one system."""

    gap: float
    ci_95: Interval


class GenderGap(Model, kw_only=True):
    """The difference between two genders, of both systems."""

    of: Annotated[str, Meta(description="The first gender minus the second.")]
    a: SystemGap
    b: SystemGap
    difference: float
    ci_95: Interval


class ByGender(Model, kw_only=True):
    """Scores by gender; the gap is null without two genders."""

    groups: dict[str, Row]
    gap: GenderGap | None


class Power(Model, kw_only=True):
    """The power of the test if the measured difference were the true one."""

    level: float
    wanted: float
    now: Annotated[Share | None, Meta(description="Power with these runs and speakers.")]
    seeds: Annotated[
        Annotated[int, Meta(ge=2)] | None, Meta(description="Fewest runs with the power wanted, with these speakers.")
    ]
    speakers: Annotated[
        Annotated[int, Meta(ge=2)] | None,
        Meta(description="Fewest speakers with it, with these runs; null if speakers are not a limit."),
    ]
    why: Annotated[str, Meta(description="Where there is no number of seeds.")]


class Pair(Comparison, kw_only=True):
    """Two results compared: a minus b."""

    FIRST: ClassVar = ("a", "b")
    a: str
    b: str
    power: Power
    per_class: dict[str, ClassRows]
    gender: ByGender
    speaker: Annotated[dict[str, Row], Meta(description="By name; utterances and runs drawn again.")]
    p_holm: AdjustedP


class TestedOn(Model, kw_only=True, forbid_unknown_fields=False):
    """The data that all were tested on."""

    dataset: str
    scheme: str | None
    protocol: str | None
    classes: Annotated[list[str], Meta(min_length=1)]
    utterances: Annotated[int, Meta(ge=1, description="In a run.")]
    speakers: Annotated[Positive | None, Meta(description="null where they are not known.")]


class ResultComparison(Opening, kw_only=True):
    """Comparison of results in pairs, on the same test utterances."""

    schema: Literal["ser.comparison/1"] = "ser.comparison/1"
    data: TestedOn  # type: ignore[assignment]
    notes: Annotated[list[str], Meta(description="What was left out so that runs pair.")]
    metric: MetricName
    paired_by: Literal["seed", "run"]
    runs: Annotated[int, Meta(ge=1, description="That pair.")]
    folds: Annotated[list[str], Meta(min_length=1, description="all: they count as one, as a model is tested in several.")]
    compared: Annotated[list[Compared], Meta(min_length=2)]
    pairs: Annotated[list[Pair], Meta(min_length=1)]
