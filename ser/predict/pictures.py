"""A recording as a spectrogram, and beside it what a saved head answers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ser.audio.reading import Audio
from ser.errors import ConfigError
from ser.files import require_new
from ser.metadata.schema import Scale
from ser.metadata.targets import DIMENSIONS
from ser.predict.inputs import SEGMENT, Inputs
from ser.predict.predictions import NOVELTY
from ser.results.blocks import printable
from ser.results.plotting.style import PALETTE, Figure, save

WINDOW, HOP = 0.025, 0.010  # s
HIGHEST = 8000  # Hz
FLOOR = 80.0  # dB below the loudest cell
GREY = "#9A9A9A"
NAMED = ("predicted", "probability")  # columns of a head that names a class


def spectrogram(sound: Audio, rate: int) -> tuple[Audio, float, float]:
    """Powers in dB below the loudest, `(bands, frames)`, of Hann windows; the seconds and the Hz that they cover."""
    from scipy.signal import stft

    size, step = max(16, round(WINDOW * rate)), max(1, round(HOP * rate))
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    bands, _, cells = stft(padded, rate, nperseg=size, noverlap=size - step)
    kept = bands <= HIGHEST
    power = np.abs(cells[kept]) ** 2
    decibels = 10 * np.log10(np.maximum(power, power.max() * 10 ** (-FLOOR / 10) + 1e-20))
    return np.asarray(decibels - decibels.max(), np.float32), len(sound) / rate, float(bands[kept][-1])


def draw(
    sound: Audio, rate: int, answer: pd.Series, target: str, name: str, scales: Mapping[str, Scale] | None = None
) -> Figure:
    """Draw a recording, or the part of it that the answer names, with its answer.

    Args:
        sound: `(samples,)`.
        answer: the row of `Predictor.predict`.
        target: the kind of the head's.
        scales: of dimensions, as far as they are known: the bar of a rating begins at the low end of its scale.
    """
    decibels, seconds, highest = spectrogram(sound, rate)
    named = target != DIMENSIONS
    values = {str(k)[2 * named :]: float(v) for k, v in answer.items() if _is_value(str(k), answer, named)}
    figure = Figure(figsize=(9.2, max(2.8, 0.9 + 0.3 * len(values))), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2.6, 1])
    given = {str(k): v for k, v in answer.items() if k in SEGMENT and pd.notna(v)}
    first = float(given.get("start", 0))
    extent = (first, first + seconds, 0.0, highest / 1000)
    image = left.imshow(decibels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-FLOOR, vmax=0)
    left.set(xlabel="time (s)", ylabel="frequency (kHz)")
    figure.colorbar(image, ax=left, label="dB", pad=0.01)
    chosen = set(str(answer.get("predicted", "")).split(";"))
    colours = [PALETTE[0] if word in chosen or not named else GREY for word in values]
    places = np.arange(len(values))
    known = [(scales or {}).get(word) for word in values]
    ends = [(0.0, 1.0) if named else (k["low"], k["high"]) if k else (0.0, np.inf) for k in known]
    begins = np.array([low for low, _ in ends])
    right.barh(places, np.array(list(values.values())) - begins, left=begins, color=colours)
    right.set_yticks(places, [printable(word) for word in values])
    right.invert_yaxis()
    right.margins(x=0.22)
    low, high = begins.min(initial=np.inf), max((high for _, high in ends), default=np.inf)
    if np.isfinite(high):
        right.set(xlim=(low, high + 0.22 * (high - low)), xticks=[low, (low + high) / 2, high])
    for place, value, (begin, end) in zip(places, values.values(), ends, strict=True):
        at = (min(max(value, begin), end), place)
        right.annotate(f"{value:.2f}", at, (3, 0), textcoords="offset points", va="center", fontsize=8)
    right.set_xlabel("probability" if named else "rating")
    right.spines[["top", "right"]].set_visible(False)
    said = f": {printable(str(answer['predicted'])) or 'no answer'}" if named else ""
    beside = [k for k in map(str, answer.index) if named and k not in NAMED and _is_value(k, answer, False)]
    said += "".join(f", {printable(k)} {float(answer[k]):.2f}" for k in beside if not k.startswith("p_"))
    span = f", {first:g} to {first + seconds:g} s" if given.keys() & {"start", "end"} else ""
    heard = f", channel {given['channel']}" if "channel" in given else ""
    figure.suptitle(f"{printable(Path(name).name or name)}{span}{heard}{said}", fontsize=10)
    return figure


def _is_value(column: str, answer: pd.Series, named: bool) -> bool:
    """True for a column of a class's probability, or of a dimension."""
    places = ("file", "start", "end", "channel", "dialogue", "turn", "error", NOVELTY)
    return column.startswith("p_") if named else column not in places and pd.notna(answer[column])


def places(inputs: Inputs, folder: Path, overwrite: bool) -> list[Path]:
    """The file for the picture of each row.

    Raises:
        ConfigError: there are texts alone; or without `overwrite` a file that is there.
    """
    if inputs.recordings is None:
        raise ConfigError("--picture draws recordings, and the head was given texts alone", action="Leave it out.")
    taken: dict[str, int] = {}  # names of files, and the number that the last of the same name has
    for recording in inputs.recordings:
        stem = name = Path(recording.name).stem or "recording"
        while name in taken:
            taken[stem] += 1
            name = f"{stem}-{taken[stem]}"
        taken[name] = 1
    found = [folder / f"{name}.png" for name in taken]
    for path in found:
        require_new(path, overwrite)
    return found


def pictures(
    target: str, inputs: Inputs, found: pd.DataFrame, files: Sequence[Path], scales: Mapping[str, Scale] | None = None
) -> Iterator[Path]:
    """Draw each recording that has an answer, and give each file as it is written.

    Args:
        target, scales: of the head, as of `draw`.
        found: the answer to the inputs.
        files: of `places`.
    """
    for recording, path, (_, row) in zip(inputs.recordings or (), files, found.iterrows(), strict=True):
        if row["error"] or recording.source is None:
            continue
        sound, rate, _ = recording.decode()
        save(draw(sound, rate, row, target, recording.name, scales), path)
        yield path
