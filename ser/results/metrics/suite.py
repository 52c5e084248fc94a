"""Checks of robustness, fairness and consistency: each a number with its interval against a limit. Pure functions.

Testing a head for more than its score, with metrics that must reach a threshold, follows Derington et al. (Testing Correctness,
Fairness, and Robustness of Speech Emotion Recognition Models, IEEE Transactions on Affective Computing 2025). Their thresholds
are in the pages of their results (repository audeering/ser-tests, commit 64455fe): UAR and CCC may fall by 0.05 in another
condition, and those of women and of men may lie 0.075 from those of all together, so that the two may be 0.15 apart.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from ser.errors import ConfigError
from ser.results.records.evaluation import SuiteCheck
from ser.results.records.gaps import Genders, MeasuredGenders, SpeakerGap
from ser.results.records.numbers import Comparison, Interval

Kind: TypeAlias = Literal["robustness", "fairness", "consistency"]
LIMITS = {"robustness": 0.05, "gender": 0.1, "language": 0.1, "corpus": 0.1, "speaker": 0.1}
# Of CCC: ratings of one group vary less than those of all, which alone lowers its CCC, and more in one group than in another.
LIMITS_OF_CCC = {**LIMITS, "gender": 0.15, "language": 0.15, "corpus": 0.15, "speaker": 0.15}
REASONS = {
    "robustness": "loss of {} in each condition: that of Derington et al. (2025)",
    "gender": "difference of {}: about what a corpus of 24 speakers can tell from none",
    "language": "difference of {}, as of genders",
    "corpus": "difference of {}, as of genders",
    "speaker": "{} of the best minus the worst speaker, above the mean gap by chance; as of genders",
}
REASONS_OF_CCC = {
    **REASONS,
    "gender": "difference of {}: of Derington et al. (2025), where each may lie 0.075 from all together",
}


def read_limits(words: Sequence[str], views: Sequence[str], metric: str = "UA") -> dict[str, float]:
    """The limits of a suite: the defaults, and those that are given as `NAME=NUMBER`.

    Args:
        views: conditions of the suite; a limit may be of one of them.
        metric: that is judged, for the message.

    Raises:
        ConfigError: a limit of something else, or a number that is not from 0 to 1.

    >>> read_limits(["gsm=0.2"], ["noise20", "gsm"])["gsm"]
    0.2
    """
    found = dict(LIMITS_OF_CCC if metric == "CCC" else LIMITS)
    given: set[str] = set()
    for word in words:
        name, _, number = word.partition("=")
        if name in given:
            raise ConfigError(f"--limit {name} is given twice", expected="each name once", action="Leave one out.")
        given.add(name)
        if name not in (*LIMITS, *views):
            raise ConfigError(f"--limit {word}", expected=f"NAME=NUMBER of {', '.join((*LIMITS, *views))}")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] <= 1:
            raise ConfigError(f"--limit {word}", expected=f"NAME=NUMBER, a difference of {metric} from 0 to 1")
    return found


def check(
    kind: Kind,
    name: str,
    value: float,
    ci_95: Interval,
    limit: float,
    *,
    both: bool = False,
    ua: float | None = None,
    score: float | UnsetType = UNSET,
    unchanged: float | None = None,
    p: float | None = None,
) -> SuiteCheck:
    """One check: passed where the value is no more than the limit, sure where its whole interval is on the same side.

    Args:
        both: true where a value as far below 0 would be as bad: a difference between groups.
        ua, score, unchanged, p: of the record, see `SuiteCheck`.

    >>> check("fairness", "a minus b", 0.02, (-0.2, 0.05), 0.1, both=True)["sure"]
    False
    """
    passed = value <= limit
    sure = None
    if ci_95 is not None:
        low, high = ci_95
        inside = high <= limit and (low >= -limit or not both)
        sure = inside if passed else low > limit
    return SuiteCheck(
        kind=kind,
        name=name,
        value=value,
        ci_95=ci_95,
        limit=limit,
        passed=passed,
        sure=sure,
        UA=ua,
        score=score,
        unchanged=unchanged,
        p=p,
    )


def robustness_check(
    view: str, score: float, comparison: Comparison, unchanged: float | None, limits: Mapping[str, float]
) -> SuiteCheck:
    """The loss in one condition, by the comparison of the original with it.

    Args:
        score: the compared metric in the condition.
        unchanged: share of the answers that are the same as without the condition; None of dimensions.
    """
    ends, limit = comparison.ci_95, limits.get(view, limits["robustness"])
    of_classes = comparison.metric == "UA"
    return check(
        "robustness",
        view,
        comparison.difference,
        ends,
        limit,
        ua=score if of_classes else None,
        score=UNSET if of_classes else score,
        unchanged=unchanged,
        p=comparison.p,
    )


def fairness_checks(
    name: str, found: Genders | MeasuredGenders, limits: Mapping[str, float], metric: str = "UA"
) -> list[SuiteCheck]:
    """The differences between the groups of one kind (`gender`, `language` or `corpus`), the higher minus the lower."""
    checks = []
    for gap in found.gaps:
        own = gap.scores[metric]
        pair, value, ends = gap.between, own.difference, own.ci_95
        if value < 0:
            pair, value, ends = pair[::-1], -value, None if ends is None else (-ends[1], -ends[0])
        checks.append(check("fairness", f"{name}: {pair[0]} minus {pair[1]}", value, ends, limits[name], both=True))
    return checks


def speaker_check(gap: SpeakerGap, limits: Mapping[str, float]) -> SuiteCheck:
    """The gap between the best and the worst speaker, above the mean gap that chance alone makes."""
    chance = gap.chance.mean
    name = f"speaker: {gap.highest} minus {gap.lowest}, above chance"
    ends = None if gap.ci_95 is None else (gap.ci_95[0] - chance, gap.ci_95[1] - chance)
    return check("consistency", name, gap.difference - chance, ends, limits["speaker"], p=gap.p)
