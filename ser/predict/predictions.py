"""The answer of a saved head: one row for each input, in their order; its notes and warnings; and its text."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio.measure import energies
from ser.errors import ConfigError
from ser.metadata.targets import DIMENSIONS, EMOTION, MIXED
from ser.metadata.targets.dimensions import in_words
from ser.predict.inputs import Inputs
from ser.predict.recordings import Sound
from ser.results.blocks import Table
from ser.train.head_file import KNOWN, AudioForm

if TYPE_CHECKING:
    from ser.metadata.schema import Scale

NOVELTY = "novelty"  # the column
LOOKED_AT = 10  # recordings, of which the spectrum is looked at
FAR = 1.3  # a novelty that next to no utterance of a corpus of training has, nor one of its unseen speakers
LONG = 2.0  # times the longest utterance in training
OTHER_BAND = 0.9  # of a rate: below it a recording has another band
TELEPHONE = 4400.0  # Hz: above it nothing is left of a recording at 8 kHz, whatever rate it is resampled to
# Of the energy: resampled from 8 kHz, files of 16 bits have 1e-8 above `TELEPHONE`; speech of EmoDB has 0.002.
NOTHING = 1e-5


class Heard(NamedTuple):
    """What is known of a recording once it is decoded, besides its samples.

    Attributes:
        name: of the recording.
        rate: Hz.
        channels: whose mean is heard.
        energy: above `TELEPHONE` and all, `(2,)`, the signs of a telephone; None where it was not measured.
    """

    name: str
    rate: int
    channels: int
    energy: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, name: str, sound: Sound, measured: bool = True) -> "Heard":
        """Of a decoded recording."""
        return cls(name, sound.rate, sound.channels, energies(sound.audio, sound.rate, TELEPHONE) if measured else None)


def prediction_table(
    inputs: Inputs,
    errors: NDArray[Any],
    shares: NDArray[np.float64],
    classes: Sequence[str],
    dialogues: bool,
    target: str = EMOTION,
    dimensions: Sequence[str] = (),
    novelty: bool = False,
) -> pd.DataFrame:
    """Make the table of predictions.

    Args:
        errors: the reason why each cannot be used, `(n,)`; "" where it can.
        shares: probabilities, `(n, classes)`, of a class and dimensions then their values; NaN where it cannot.
        dialogues: true for a head that reads dialogues; they then have columns.
        target: the kind of the head's; dimensions have one column each, by name, and of several labels `predicted` has all
            above 0.5, with `;` between them.
        dimensions: that follow the classes.
        novelty: true where it follows in the last column of `shares`.
    """
    good = errors == ""
    best = np.full(len(inputs), "", dtype=object)
    best[good] = [answer(row, classes, target) for row in shares[good]]
    columns: dict[str, Any] = {"text" if inputs.recordings is None else "file": inputs.names}
    columns |= {name: _places(values) for name, values in inputs.segments.items()}
    if dialogues:
        columns |= {"dialogue": inputs.dialogue_names, "turn": inputs.turn_numbers}
    named = target != DIMENSIONS
    columns |= {"predicted": best, "probability": shares[:, : len(classes)].max(-1)} if named else {}
    columns["error"] = errors
    shown = pd.DataFrame(shares, columns=output_columns(classes, target, dimensions, novelty))
    joined: pd.DataFrame = pd.concat([pd.DataFrame(columns), shown], axis=1)
    return joined


def output_columns(classes: Sequence[str], target: str, dimensions: Sequence[str] = (), novelty: bool = False) -> list[str]:
    """The columns of a head's outputs: `p_CLASS` of probabilities, the names of dimensions, and the novelty."""
    named = list(classes) if target == DIMENSIONS else [*(f"p_{c}" for c in classes), *dimensions]
    return [*named, *([NOVELTY] if novelty else [])]


def answer(shares: NDArray[np.float64], classes: Sequence[str], target: str, least: float = 0.0) -> str:
    """The prediction that is named: of several labels all above 0.5, with `;` between them; of dimensions none.

    Args:
        shares: probabilities, `(classes,)`; what follows them is not read.
        least: a probability; where the largest is below it, there is no answer.
    """
    shares = shares[: len(classes)]
    if target == DIMENSIONS or not shares.max() >= least:
        return ""
    if target == "labels":
        return ";".join(c for c, p in zip(classes, shares, strict=True) if p > 0.5)
    return classes[int(shares.argmax())]


def check_confidence(least: float, target: str) -> None:
    """Refuse `--min-confidence` for heads that do not name one class.

    Raises:
        ConfigError: a limit for a head on dimensions or on several labels.
    """
    if least and target not in (EMOTION, MIXED, "votes"):
        raise ConfigError(
            f"--min-confidence is of heads that name one class, and this head's target is {target}",
            expected="another head, or no limit",
            option="min_confidence",
        )


def _places(values: list[Any]) -> "pd.Series[Any]":
    """Starts, ends or channels as numbers; whole ones stay whole beside empty places."""
    whole = all(v is None or isinstance(v, int) for v in values)
    found: pd.Series[Any] = pd.Series(values, dtype="Int64" if whole else float)
    return found


def scales_note(scales: "Mapping[str, Scale]") -> str:
    """The scale of each dimension that is predicted, in words."""
    return "scales: " + ", ".join(f"{name} {in_words(scale)}" for name, scale in scales.items())


def beyond_note(
    names: Sequence[str], shares: NDArray[np.float64], columns: Sequence[str], scales: "Mapping[str, Scale]"
) -> str:
    """A note of recordings with a predicted value beyond its dimension's scale; "" where there are none.

    Args:
        names: of the recordings.
        shares: outputs, `(n, columns or more)`, of dimensions on their scales; NaN where a recording cannot be used.
        columns: as of `output_columns`; those without a scale are not looked at.
    """
    low, high = np.array([(s["low"], s["high"]) if (s := scales.get(c)) else (-np.inf, np.inf) for c in columns]).T
    values = shares[:, : len(columns)]
    beyond = (values < low) | (values > high)
    rows = np.flatnonzero(beyond.any(1)).tolist()
    if not rows:
        return ""
    worst = ((names[k], int(beyond[k].argmax()), values[k]) for k in rows)
    shown = _first([f"{name} ({columns[place]} {found[place]:.2f})" for name, place, found in worst])
    return (
        f"{_share(len(rows), len(names), 'recordings')} predicted beyond the scale: {shown}. Values are not cut off at the "
        "ends of a scale: take these as its end."
    )


def notes(inputs: Inputs, errors: NDArray[Any], dialogues: bool, by: str) -> Iterator[str]:
    """Notes on the assumptions that were made, and on inputs that are not predicted.

    Args:
        errors: as of `prediction_table`.
        dialogues: true for a head that reads dialogues.
        by: `speaker` or `corpus`, where features were standardised by their own statistics; else "".
    """
    if inputs.left_out:
        yield f"left out: {inputs.left_out}"
    if by == "speaker" and inputs.speakers:
        yield f"each of {len(set(inputs.speakers))} speakers is standardised by their own recordings"
    elif by:
        yield f"the head was normalised per {by}: all inputs are standardised together, as one {by}'s"
    if not dialogues:
        if inputs.unused:
            yield "the head reads one utterance at a time: dialogues and turns are not used"
        return
    names, good = np.array(inputs.dialogue_names, dtype=object), errors == ""
    if inputs.dialogues_by:
        count = len(set(names))
        yield f"{len(inputs)} turns, {count} {'dialogue' if count == 1 else 'dialogues'}: {inputs.dialogues_by}"
    without = sorted(set(names[~good]) & set(names[good]))
    if without:
        yield f"turns that cannot be used: the others of their dialogues ({_first(without)}) are predicted without them"
    alone = int((pd.Series(names[good]).value_counts() == 1).sum())
    if alone:
        yield f"dialogues of one turn: {alone}; the head was trained to see a turn among others"


def long_note(names: Sequence[str], seconds: NDArray[np.float64], longest: float | None) -> str:
    """A warning of recordings far longer than those that the head was trained on; "" where there are none.

    Args:
        names: of the recordings.
        seconds: their lengths, `(n,)`; NaN where they are not known.
        longest: s, of the utterances in training, of several heads the least; None where none says.
    """
    if longest is None:
        return ""
    far = [f"{names[k]} ({seconds[k]:.1f} s)" for k in np.flatnonzero(seconds > LONG * longest).tolist()]
    if not far:
        return ""
    return (
        f"{_share(len(far), len(names), 'recordings')} over {LONG:g} times as long as the longest utterance in training "
        f"({longest:.1f} s), with one answer each: {_first(far)}. Cut such recordings up, or follow them over time: --window."
    )


def form_notes(heard: Sequence[Heard], trained: AudioForm | None, rate: int) -> Iterator[str]:
    """Warnings of recordings of another band or with more channels than those that the head was trained on.

    Args:
        heard: the recordings.
        trained: the form of those in training; None where the head does not say.
        rate: Hz in which the encoders hear all; 0 where they hear none. Above half of it nothing is compared.
    """
    if trained is None or not rate:
        return
    low, high = (min(r, rate) for r in (trained.lowest_rate, trained.highest_rate))
    span = f"{low} Hz" if low == high else f"{low} to {high} Hz"
    narrow = [(h.name, h.rate) for h in heard if min(h.rate, rate) < OTHER_BAND * low]
    wide = [(h.name, h.rate) for h in heard if OTHER_BAND * min(h.rate, rate) > high]
    lost = max((hertz for _, hertz in narrow), default=0) // 2
    for odd, band, follows in (
        (narrow, "narrower", f"above {lost} Hz there is nothing, and the head heard that in training. Train on recordings of "
         "that rate, or measure what that costs: ser evaluate --suite."),
        (wide, "wider", f"the head hears what lies above {high // 2} Hz, which it never met in training. Resample to "
         f"{high} Hz."),
    ):  # fmt: skip
        if odd:
            shown = _first([f"{name} ({hertz} Hz)" for name, hertz in odd])
            count = _share(len(odd), len(heard), "recordings", "has", "have")
            yield f"{count} a {band} band than those in training ({span}): {shown}; {follows}"
    several = [f"{one.name} ({one.channels})" for one in heard if one.channels > trained.channels == 1]
    if several:
        yield (
            f"{_share(len(several), len(heard), 'recordings', 'has', 'have')} several channels, of which the mean is heard; "
            f"those in training had one: {_first(several)}. Take the channels apart: --channels split, or the number of one."
        )


def novelty_note(names: Sequence[str], novelty: NDArray[np.float64]) -> str:
    """A warning where a recording is far from those in training, or more are unlike them than chance would have; else "".

    Args:
        names: of the recordings.
        novelty: `(n,)`; NaN where it is not known.
    """
    novel = [k for k in np.argsort(-novelty).tolist() if novelty[k] > 1]
    if not novel or not (novelty[novel[0]] > FAR or is_beyond_chance(len(novel), len(names))):
        return ""
    shown = _first([f"{names[k]} ({novelty[k]:.2f})" for k in novel])
    return f"{novel_words(len(novel), len(names), 'recordings')}: {shown}"


def telephone_note(heard: Iterable[Heard], trained: AudioForm | None, rate: int) -> str:
    """A warning of recordings with the band of a telephone and the rate of another; "" where there are none.

    Args:
        heard: recordings that can be used; those whose energy was not measured are not looked at.
        trained, rate: as of `form_notes`.
    """
    measured = ((one.name, one.energy, one.rate) for one in heard if one.energy is not None)
    odd = [name for name, energy, own in measured if is_telephone(energy, own, trained, rate)]
    return f"{_first(odd)}: {TELEPHONE_WORDS}" if odd else ""


TELEPHONE_WORDS = (
    f"nothing above {TELEPHONE:g} Hz, as in recordings of a telephone, whatever rate the file has; by their rate, those in "
    "training have more. Train on such recordings, or measure what that costs: ser evaluate --suite."
)


def is_telephone(energy: NDArray[np.float64], rate: int, trained: AudioForm | None, hears: int) -> bool:
    """True for sound without anything above `TELEPHONE`, where its rate, those in training and the encoders could have it.

    Args:
        energy: above `TELEPHONE` and all, `(2,)`.
        rate: Hz, of the sound.
        trained, hears: as `trained` and `rate` of `form_notes`.
    """
    most = 0 if trained is None else min(rate, hears, trained.lowest_rate)
    return bool(OTHER_BAND * most > 2 * TELEPHONE and energy[0] < NOTHING * energy[1])


def novel_words(novel: int, total: int, of: str) -> str:
    """The count of recordings or windows with a novelty above 1, in words."""
    return (
        f"{_share(novel, total, of)} unlike the utterances in training, of which 1 % have a novelty above 1; "
        "the answers there may mean nothing"
    )


def is_beyond_chance(novel: int, total: int) -> bool:
    """True where so many of a total with a novelty above 1 have a chance of 0.01 at most, if each has that of the training."""
    if not novel:
        return False
    from scipy.special import bdtrc  # a fifth of a second, for recordings that are novel alone

    return float(bdtrc(novel - 1, total, 1 - KNOWN)) <= 0.01 + 1e-9


def _share(count: int, total: int, things: str, one: str = "is", more: str = "are") -> str:
    """A part of some things and a verb, as `1 of 3 recordings is`, `1 of 1 recording is`, `2 of 3 recordings are`."""
    return f"{count} of {total} {things[:-1] if total == 1 else things} {one if count == 1 else more}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def abstain(found: pd.DataFrame, least: float) -> pd.DataFrame:
    """Leave `predicted` empty where the largest probability is below a limit, which `check_confidence` has let pass."""
    if not least:
        return found
    marked: pd.DataFrame = found.assign(predicted=found["predicted"].where(~(found["probability"] < least), ""))
    return marked


def rows_of(found: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as they are written in JSON: empty values are left out, but not an empty `predicted`, which is an answer."""
    return [
        {str(k): v for k, v in row.items() if not (pd.isna(v) or v == "") or (k == "predicted" and not row["error"])}
        for row in found.to_dict("records")
    ]


def _cell(value: Any) -> str:
    """A value of a table on the terminal; "" for one that is not known."""
    return "" if pd.isna(value) else f"{value:.3f}" if isinstance(value, float) else str(value)


def as_text(found: pd.DataFrame, form: str) -> str:
    """Write predictions as text: `table` (rounded), `csv`, or `jsonl` (as `rows_of`)."""
    if form == "csv":
        return found.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if form == "jsonl":
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows_of(found))
    from ser.results.report.formats.terminal import table

    good = found["error"] == ""
    shown = found[good].drop(columns="error")
    cells = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    lines = [table(Table("", list(shown), cells), None)] if cells else []
    for row, name, error in found[~good].reset_index()[["index", found.columns[0], "error"]].itertuples(index=False):
        lines.append(error if name and name in error else f"{name or f'row {row + 1}'}: {error}")
    return "\n".join(lines)
