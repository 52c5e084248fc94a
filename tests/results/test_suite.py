"""Checks of the suite: when one passes, and when it is sure."""

import pytest

from ser.errors import ConfigError
from ser.results.metrics.suite import LIMITS, LIMITS_OF_CCC, REASONS, REASONS_OF_CCC, check, fairness_checks, read_limits
from ser.results.records.gaps import Difference, GenderDifference, Genders


@pytest.mark.parametrize(
    ("value", "ci_95", "both", "passed", "sure"),
    [
        (0.02, (-0.3, 0.04), False, True, True),  # a gain in a condition is not a fault
        (0.02, (-0.3, 0.04), True, True, False),  # between groups it is one
        (0.02, (-0.04, 0.06), False, True, False),
        (0.05, (0.01, 0.05), False, True, True),
        (0.08, (0.04, 0.2), False, False, False),
        (0.08, (0.06, 0.2), True, False, True),
        (0.08, None, True, False, None),
    ],
)
def test_a_check_is_sure_where_its_interval_is_on_one_side(
    value: float, ci_95: tuple[float, float] | None, both: bool, passed: bool, sure: bool | None
) -> None:
    found = check("robustness", "x", value, ci_95, 0.05, both=both)
    assert (found["passed"], found["sure"]) == (passed, sure)


def test_a_gap_is_the_higher_group_minus_the_lower() -> None:
    lower = Difference(difference=-0.2, ci_95=(-0.3, -0.15))
    gap = GenderDifference(between=("female", "male"), UA=lower, WA=lower)
    (found,) = fairness_checks("gender", Genders(groups={}, gaps=[gap]), LIMITS)
    assert found["name"] == "gender: male minus female"
    assert (found["value"], found["ci_95"], found["passed"], found["sure"]) == (0.2, (0.15, 0.3), False, True)


def test_limits_are_read_and_each_default_has_its_reason() -> None:
    assert set(REASONS) == set(REASONS_OF_CCC) == set(LIMITS) == set(LIMITS_OF_CCC)
    assert read_limits(["speaker=0.2"], [], "CCC") == {**LIMITS_OF_CCC, "speaker": 0.2}
    assert read_limits(["speaker=0", "gsm=1"], ["gsm"]) == {**LIMITS, "speaker": 0, "gsm": 1}
    for word in ("gsm=0.1", "gender", "gender=-0.1", "gender=2", "gender=nan"):
        with pytest.raises(ConfigError, match="--limit"):
            read_limits([word], [])
    with pytest.raises(ConfigError, match="--limit speaker is given twice; expected each name once"):
        read_limits(["speaker=0.1", "speaker=0.2"], [])
