"""Scores of an evaluation by gender and by speaker, and the gaps between them; see `ser.results.metrics.gaps`."""

from typing import Annotated

from msgspec import Meta

from ser.jsonfile import Count, Model, Share, require
from ser.results.records.numbers import Interval, NotNegative


class MeasuredLevel(Model, kw_only=True):
    """A score on any scale with its interval."""

    mean: float
    ci_95: Interval


class Level(MeasuredLevel, kw_only=True):
    """A score from 0 to 1 with its interval."""

    mean: Share


class MeasuredDifference(Model, kw_only=True):
    """A difference of scores on any scale with its interval."""

    difference: float
    ci_95: Interval


class Difference(MeasuredDifference, kw_only=True):
    """A difference of scores from 0 to 1 with its interval."""

    difference: Annotated[float, Meta(ge=-1, le=1)]


class EvaluatedGender(Model, kw_only=True):
    """The scores of one gender."""

    UA: Level
    WA: Level
    n: Count
    speakers: Count

    @property
    def scores(self) -> dict[str, MeasuredLevel]:
        """By metric, as of `MeasuredGender`."""
        return {"UA": self.UA, "WA": self.WA}


class GenderDifference(Model, kw_only=True):
    """The first gender minus the second."""

    between: tuple[str, str]
    UA: Difference
    WA: Difference

    @property
    def scores(self) -> dict[str, MeasuredDifference]:
        """By metric, as of `MeasuredGap`."""
        return {"UA": self.UA, "WA": self.WA}


class Genders(Model, kw_only=True):
    """Scores by gender; speakers drawn again within each gender."""

    groups: Annotated[dict[str, EvaluatedGender], Meta(min_length=1)]
    gaps: list[GenderDifference]


class EvaluatedSpeaker(Model, kw_only=True):
    """The scores of one speaker."""

    UA: Level
    WA: Level
    n: Count


class ChanceGap(Model, kw_only=True):
    """The gap when the utterances of each class are given to the speakers at random."""

    mean: NotNegative
    quantile_95: NotNegative


class SpeakerGap(Model, kw_only=True):
    """The highest speaker minus the lowest."""

    lowest: str
    highest: str
    difference: NotNegative
    ci_95: Interval
    chance: ChanceGap
    p: Share


class Speakers(Model, kw_only=True):
    """Scores by speaker; a speaker's utterances drawn again."""

    groups: Annotated[dict[str, EvaluatedSpeaker], Meta(min_length=1)]
    left_out: Count
    std: NotNegative
    gap: SpeakerGap

    def __post_init__(self) -> None:
        fits = {self.gap.lowest, self.gap.highest} <= set(self.groups)
        require(fits, "Expected the speakers of gap among those of groups")


class EvaluatedGroups(Model, kw_only=True):
    """Scores by gender and by speaker; null where they are not known."""

    gender: Genders | None
    speaker: Speakers | None


class MeasuredGender(Model, kw_only=True):
    """The scores of one gender by metric."""

    scores: dict[str, MeasuredLevel]
    n: Count
    speakers: Count


class MeasuredGap(Model, kw_only=True):
    """The first gender minus the second, by metric."""

    between: tuple[str, str]
    scores: dict[str, MeasuredDifference]


class MeasuredGenders(Model, kw_only=True):
    """Scores by gender; speakers drawn again within each gender."""

    groups: Annotated[dict[str, MeasuredGender], Meta(min_length=1)]
    gaps: list[MeasuredGap]
