"""Long recordings from the command line and from Python: files, samples and standard input, followed over time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio.files import PIPE
from ser.audio.streams import BLOCK, Stream, open_file, open_pipe, raw_format
from ser.errors import AudioError, ConfigError
from ser.metadata.targets import DIMENSIONS
from ser.predict.inputs import channel_numbers
from ser.predict.judge import Judge
from ser.predict.recordings import full_scale, pipe
from ser.predict.timeline import ROWS, Timeline, TimelineOptions, TimelineRow, columns_of, refuse_heads
from ser.predict.turns import Diarizer, Turns

Opened: TypeAlias = Callable[[], AbstractContextManager[Stream]]  # opens a recording, each time from its beginning
MOST_KEPT = 2**30  # samples of standard input that are kept to tell speakers apart: 4 GiB on disk, 18.6 h at 16 kHz


def only_with_window(options: dict[str, Any]) -> None:
    """Refuse options that mean something with `--window` alone.

    Raises:
        ConfigError: one of them was given.
    """
    for name, value in options.items():
        if value and value != ROWS[0]:
            name = name.replace("_", "-")
            raise ConfigError(
                f"--{name} needs --window", expected="the seconds that are heard at once: --window 4", option=name
            )


def follow(
    predictor: Judge, files: tuple[Sequence[Path], str], options: TimelineOptions, raw: str | None, *, row_by_row: bool
) -> Iterator[pd.DataFrame]:
    """Follow recordings over time, one after another; `-` is standard input.

    Args:
        files: as of `files_to_follow`.
        raw: `RATE` or `RATExCHANNELS` of raw samples on standard input.
        row_by_row: give each row as soon as it is decided; else one table of all.

    Raises:
        ConfigError: a head that cannot hear windows.
    """
    refuse_heads(predictor)
    form = raw_format(raw)
    paths, left_out = files
    if left_out:
        predictor.say(f"left out: {left_out}")
    predictor.say_scales()
    columns = columns_of(predictor, options)
    diarizer = _diarizer(predictor, options)
    rows = (
        row for path in paths for row in told(predictor, str(path), _of_path(predictor, path, options, form, diarizer), options)
    )
    if not row_by_row:
        yield _table(rows, columns)
        return
    for row in rows:
        yield _table([row], columns)


def timeline_table(rows: Iterable[TimelineRow], predictor: Judge, options: TimelineOptions) -> pd.DataFrame:
    """The rows of a timeline as a table, see `Predictor.timeline`."""
    return _table(rows, columns_of(predictor, options))


def _table(rows: Iterable[TimelineRow], columns: list[str]) -> pd.DataFrame:
    found = pd.DataFrame([row.cells() for row in rows], columns=columns)
    texts = {  # a column without any text is one of floats, of NaN alone
        name: found[name].astype(object).where(found[name].notna(), "") for name in ("predicted", "error") if name in found
    }
    numbers = {name: found[name].astype("Int64") for name in ("channel", "speaker") if name in found}
    filled: pd.DataFrame = found.assign(**texts, **numbers)
    return filled


def told(predictor: Judge, name: str, rows: Iterable[TimelineRow], options: TimelineOptions) -> Iterator[TimelineRow]:
    """Pass on the rows of a recording; say so where there are none, and where speakers are told apart what each said.

    That is the share of each answer, and the mean of each dimension, both by the time of the segments, or over windows.
    """
    count = 0
    heard: dict[int, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))  # s or windows with each answer
    sums: dict[int, NDArray[np.float64]] = {}  # over these, of the dimensions
    only = predictor.head.target == DIMENSIONS
    dimensions = list(predictor.classes if only else predictor.dimensions)
    for row in rows:
        count += 1
        if row.speaker is not None and not row.error:
            amount = row.seconds if options.rows == "segments" else 1.0
            heard[row.speaker][row.predicted] += amount
            sums[row.speaker] = sums.get(row.speaker, 0) + amount * np.array([row.outputs[d] for d in dimensions])
        yield row
    if not count:
        predictor.say(f"{name}: no rows, as nothing was heard but silence, or what is not speech")
    for speaker, found in sorted(heard.items()):
        total = sum(found.values())
        told_of = f"{total:.1f} s" if options.rows == "segments" else f"{total:.0f} windows"
        most = sorted(found.items(), key=lambda one: -one[1])
        parts = [] if only else [f"{answer or 'no answer'} {n / total:.0%}" for answer, n in most]
        parts += [f"{d} {mean:.2f}" for d, mean in zip(dimensions, sums[speaker] / total, strict=True)]
        predictor.say(f"{name}: speaker {speaker}, {told_of}: {', '.join(parts)}")


def _diarizer(predictor: Judge, options: TimelineOptions) -> Diarizer | None:
    if not options.diarize:
        return None
    name, speakers = options.speaker_encoder, options.speakers
    return Diarizer(name, speakers, predictor.weights, predictor.device, predictor.say)


def _of_path(
    predictor: Judge, path: Path, options: TimelineOptions, raw: tuple[int, int] | None, diarizer: Diarizer | None
) -> Iterator[TimelineRow]:
    """The rows of one recording; where it cannot be read, or not to its end, the last one says so."""
    try:
        if path != Path(PIPE):
            yield from _of_opened(predictor, lambda: open_file(path), options, diarizer)
        elif diarizer is None:
            yield from Timeline(predictor, open_pipe(pipe(), raw), options).rows()
        else:
            predictor.say("-: rows come when standard input has ended, as only then speakers can be told apart")
            with _kept(open_pipe(pipe(), raw)) as opened:
                yield from _of_opened(predictor, opened, options, diarizer)
    except AudioError as error:
        yield TimelineRow(str(path), error=error.line())


def _of_opened(predictor: Judge, opened: Opened, options: TimelineOptions, diarizer: Diarizer | None) -> Iterator[TimelineRow]:
    turns = turns_of(diarizer, opened, options)
    with opened() as stream:
        yield from Timeline(predictor, stream, options, turns).rows()


@contextmanager
def _kept(stream: Stream) -> Iterator[Opened]:
    """A stream in a temporary file, which can be read more than once, and has no name: a kill leaves nothing.

    Raises:
        AudioError: it is empty, or has more than `MOST_KEPT` samples.
    """
    with TemporaryFile(prefix="ser-") as file:
        count = 0
        for block in stream.blocks:
            count += block.size
            if count > MOST_KEPT:
                seconds = MOST_KEPT / stream.channels / stream.rate
                raise AudioError(
                    f"{stream.name} is too long to tell speakers apart, for which it is kept to its end",
                    expected=f"{MOST_KEPT} samples at most in all channels together, here {seconds / 3600:.1f} h",
                    action="Leave --diarize out, or write it to a file and name that.",
                    fault="too-long",
                )
            file.write(block.astype("<f4", copy=False).tobytes())
        if not count:
            raise AudioError(f"{stream.name} is empty", expected="samples", found="none", fault="empty")

        def blocks() -> Iterator[NDArray[np.float32]]:
            file.seek(0)
            while len(block := np.fromfile(file, "<f4", stream.channels * round(BLOCK * stream.rate))):
                yield block.reshape(-1, stream.channels)

        yield lambda: nullcontext(replace(stream, blocks=blocks(), live=False))


def turns_of(diarizer: Diarizer | None, opened: Opened, options: TimelineOptions) -> Turns | None:
    """The turns of the speakers, if they are told apart: the recording is read once for that, and again for the answers."""
    if diarizer is None:
        return None
    with opened() as stream:
        return diarizer.turns(stream, channel_numbers(options.channels, stream.channels))


def table_of(predictor: Judge, recording: Path | str | tuple[NDArray[Any], float], options: TimelineOptions) -> pd.DataFrame:
    """The timeline of one recording as a table, see `Predictor.timeline`."""

    if not isinstance(recording, tuple | str | PathLike):
        raise ConfigError(
            "a recording to follow", expected="one path, or samples and their rate", found=type(recording).__name__
        )

    def opened() -> AbstractContextManager[Stream]:
        if not isinstance(recording, tuple):
            return open_file(Path(recording))
        samples = np.asarray(recording[0])
        sound = full_scale("samples", samples.reshape(len(samples), -1), recording[1])
        return nullcontext(Stream("samples", int(recording[1]), sound.shape[1], iter([sound])))

    rows = _of_opened(predictor, opened, options, _diarizer(predictor, options))
    return timeline_table(rows, predictor, options)
