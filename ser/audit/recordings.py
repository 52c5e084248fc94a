"""Findings on single recordings: those that cannot be used, and those that are worth listening to."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ser.audio.measure import Measured
from ser.audio.reading import CLIPPED_SHARE, SILENCE_PEAK
from ser.audit.measurements import Sound
from ser.audit.record import ERROR, INFO, WARNING, Finding, Severity, finding_on, some_names

SHORTEST = 400  # samples at 16 kHz: the receptive field of the speech encoders
LONGEST = 60.0  # s
TELLING = 0.3  # Cramer's V of sample rate and class: from here on the rate helps to guess the class

AGAIN = "Download or copy these files again."
FAULTS = {
    "missing": ("files that are not there", "Is --root the corpus folder that the table was made from?"),
    "unreadable": ("files without permission to read them", "Give yourself permission: chmod u+r FILE."),
    "irregular": ("folders, named pipes or devices in place of files", "Correct the paths of the table."),
    "pointer": ("Git LFS pointers in place of audio", "In the corpus's repository: git lfs install && git lfs pull"),
    "web-page": ("pages of HTML in place of audio", "The download gave a login or error page. " + AGAIN),
    "empty": ("empty files", AGAIN),
    "truncated": ("files that are cut short, whose header says more than they have", AGAIN),
    "undecodable": ("files that cannot be decoded", AGAIN),
    "needs-ffmpeg": ("files that need ffmpeg", "Install ffmpeg: ser doctor says how."),
    "not-finite": ("audio with values that are not finite", "Write these files again from their source, or leave them out."),
    "scale": (
        "files of floats at the scale of integers, where full scale is 1",
        "Divide the samples by 32768 and write the files again.",
    ),
    "cancelling": (
        "channels of opposite phase, which cancel in their mean",
        "Take one of them: 0 in the table's column channel.",
    ),
    "segment": ("segments outside of their file", "Check the columns start and end of the table."),
    "channel": ("channels that their file does not have", "Check the column channel of the table."),
    "too-long": ("files of over half an hour, without start and end", "Give start and end of each utterance."),
}


def recordings(sound: Sound, longest: float = LONGEST) -> list[Finding]:
    """Find recordings that cannot be used, are silent, short, clipped or over `longest` s, and sample rates that differ."""
    frame, measured = sound.frame, sound.measured
    ids = frame["utterance_id"].to_numpy()
    found: list[Finding] = []
    for fault, (what, action) in FAULTS.items():
        bad = [i for i, m in zip(ids, measured, strict=True) if m.fault == fault]
        found += finding_on(bad, f"audio-{fault}", ERROR, what, len(ids), action=action)
    tests: list[tuple[str, Severity, str, Callable[[Measured], bool], Callable[[Measured], str], str]] = [
        ("silent", ERROR, f"silent utterances, with no sample over {SILENCE_PEAK:g} of full scale",
         lambda m: m.peak < SILENCE_PEAK, lambda m: f"{m.seconds:.1f} s",
         "They say nothing of any emotion: leave them out of the table."),
        ("short", ERROR, f"utterances shorter than {SHORTEST} samples at 16 kHz", lambda m: m.seconds * 16000 < SHORTEST,
         lambda m: f"{1000 * m.seconds:.0f} ms", "No speech encoder takes them: leave them out, or mend start and end."),
        ("long", WARNING, f"utterances longer than {longest:g} s", lambda m: m.seconds > longest,
         lambda m: f"{m.seconds:.0f} s", "One label for so long? Give start and end, or raise --longest."),
        ("clipped", WARNING, f"utterances with over {CLIPPED_SHARE:.1%} of their samples clipped",
         lambda m: m.clipped > CLIPPED_SHARE, lambda m: f"{m.clipped:.1%}",
         "Loud emotions clip first: a head may learn the distortion. Listen to some."),
    ]  # fmt: skip
    for kind, severity, what, test, number, action in tests:
        bad = [f"{i} ({number(m)})" for i, m in zip(ids, measured, strict=True) if not m.fault and test(m)]
        found += finding_on(bad, f"audio-{kind}", severity, what, len(ids), action=action)
    return [*found, *_rates(frame, measured)]


def _rates(frame: pd.DataFrame, measured: list[Measured]) -> list[Finding]:
    """Several sample rates in one corpus; a warning where they go with the class."""
    rates = pd.Series([m.rate for m in measured])
    there = rates > 0
    counts = rates[there].value_counts()
    if len(counts) < 2:
        return []
    table = pd.crosstab(rates[there], frame["emotion"][there])
    strength = cramers_v(table.to_numpy())
    telling = strength >= TELLING
    return [
        Finding(
            "sample-rates",
            WARNING if telling else INFO,
            "different sample rates",
            len(counts),
            None,
            f"association with the emotion: Cramer's V {strength:.2f}",
            some_names(f"{rate} Hz: {n:,}" for rate, n in counts.items()),
            "The rate gives the emotion away, also after resampling: bring all to the lowest rate first." if telling else "",
        )
    ]


def cramers_v(table: "np.typing.NDArray[np.int64]") -> float:
    """Compute the association of two nominal variables, 0 to 1, from their contingency table (H. Cramer, 1946).

    0 for a table of a single row or column.
    """
    if min(table.shape) < 2:
        return 0.0
    from scipy.stats.contingency import association

    return float(association(table, method="cramer", correction=False))
