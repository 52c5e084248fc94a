"""Lines of progress where there is no terminal: the start counts for nothing, and times can be read."""

import pytest

from ser import progress as module
from ser.progress import progress, rate_and_left


@pytest.mark.parametrize(
    ("done", "seconds", "left", "words"),
    [
        (300, 20.0, 150, "15.0 utt/s, 10 s left"),
        (1, 25.0, 3, "25.0 s/utt, 75 s left"),
        (1, 137.5, 407, "137.5 s/utt, 15.5 h left"),
        (2, 60.0, 20, "30.0 s/utt, 10 min left"),
    ],
)
def test_slow_items_and_long_times_are_in_units_that_can_be_read(done: int, seconds: float, left: int, words: str) -> None:
    assert rate_and_left(done, seconds, left, "utt") == words


def test_the_start_is_no_measure_of_the_rest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 140.0, 160.0, 180.0])  # the first of three items waits for processes to start
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    assert list(progress(range(3), 3, "mine", "utt")) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines() == ["mine: 1/3 utt", "mine: 2/3 utt, 20.0 s/utt, 20 s left"]
