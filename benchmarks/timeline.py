"""Long recordings: a call of known emotions, its timeline against the truth; speed and memory by length.

A call has two speakers of one test fold, one on each channel, who speak in turns: each turn is some utterances of one speaker
and emotion, with pauses, so that the times of all changes are known.

    python benchmarks/timeline.py call --workspace W --dataset emodb --root CORPUS --model EXPERIMENT --fold 3 --out CALL
    python benchmarks/timeline.py score CALL.wav --model HEAD [--weights DIR] --window 3 --hop 0.5 --picture CALL.png
    python benchmarks/timeline.py speakers --workspace W --dataset emodb --root CORPUS --encoder NAME --number 2
    python benchmarks/timeline.py length CALL.wav --model HEAD --window 4 --hop 1 --minutes 10,60
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import soundfile

RATE = 16000
STEP = 0.1  # s: the truth and the timeline are compared at each
PAUSE = (0.2, 0.6)  # s between utterances
TURN = 3  # utterances of one emotion
JOIN = 1.0  # s of pause within a segment


def make_call(args: argparse.Namespace) -> None:
    """Write the call as a wav with two channels, and its truth as a CSV of channel, start, end, emotion."""
    from ser.audio.reading import load
    from ser.metadata.table import load_table
    from ser.workspace import Workspace

    frame = load_table(args.dataset, Workspace(args.workspace)).frame.set_index("utterance_id")
    (folder,) = (args.workspace / "results").glob(f"{args.model}*/")
    recorded = pd.read_csv(folder / f"run-000.fold-{args.fold}.csv")
    tested = frame.loc[recorded[recorded["split"] == "test"]["utterance_id"]]
    speakers = sorted(tested["speaker"].unique())[:2]
    rng = np.random.default_rng(0)
    sound, truth, now, end, turn = np.zeros((0, 2), dtype=np.float32), [], 0.0, args.minutes * 60, 0
    pieces: list[np.ndarray[Any, Any]] = []
    while now < end:
        own = tested[tested["speaker"] == speakers[turn % 2]]
        emotion = rng.choice(sorted(own["emotion"].unique()))
        rows = own[own["emotion"] == emotion]
        for _, row in rows.sample(min(TURN, len(rows)), random_state=int(rng.integers(1 << 30))).iterrows():
            audio = load(args.root / row["path"], RATE)
            both = np.zeros((len(audio) + int(RATE * rng.uniform(*PAUSE)), 2), dtype=np.float32)
            both[: len(audio), turn % 2] = audio
            truth.append({"channel": turn % 2, "start": now, "end": now + len(audio) / RATE, "emotion": emotion})
            pieces.append(both)
            now += len(both) / RATE
        turn += 1
    sound = np.concatenate(pieces)
    if args.noise is not None:  # of each line, so many dB below its speech
        level = np.sqrt((sound[sound != 0] ** 2).mean()) * 10 ** (-args.noise / 20)
        sound += rng.normal(0, level, sound.shape).astype(np.float32)
    soundfile.write(args.out.with_suffix(".wav"), sound, RATE)
    pd.DataFrame(truth).to_csv(args.out.with_suffix(".csv"), index=False)
    print(f"{now / 60:.1f} min, {turn} turns, {len(truth)} utterances, speakers {', '.join(speakers)}")


def _at_steps(rows: pd.DataFrame, column: str, channel: int, count: int) -> list[str]:
    """The value of a column at each step, "" where there is no row."""
    found = np.full(count, "", dtype=object)
    for row in rows[rows["channel"] == channel].itertuples():
        found[round(row.start / STEP) : round(row.end / STEP)] = getattr(row, column)
    return [str(v) for v in found]


def _segments(rows: pd.DataFrame, column: str, channel: int) -> list[tuple[float, float, str]]:
    """Start, end and value of the segments of a channel; neighbours of one value with a pause of `JOIN` at most are one."""
    found: list[tuple[float, float, str]] = []
    for row in rows[(rows["channel"] == channel) & (rows[column] != "")].itertuples():
        start, end, value = float(row.start), float(row.end), str(getattr(row, column))
        if found and found[-1][2] == value and start - found[-1][1] <= JOIN:
            start = found.pop()[0]
        found.append((start, end, value))
    return found


def _segment_f1(truth: pd.DataFrame, rows: pd.DataFrame, channels: tuple[int, ...]) -> float:
    """F1 of segments: a pair of one value that shares half of what either covers is a hit, and each is in one pair."""
    hits = total = 0
    for channel in channels:
        right, said = _segments(truth, "emotion", channel), _segments(rows, "predicted", channel)
        total += len(right) + len(said)
        for a, b, value in right:
            for k, (c, d, other) in enumerate(said):
                if value == other and min(b, d) - max(a, c) >= 0.5 * (max(b, d) - min(a, c)):
                    hits += 1
                    del said[k]
                    break
    return 2 * hits / total


def _remembering(predictor: Any) -> None:
    """Let a predictor answer the same window once: what is compared is how answers become a timeline."""
    judge, known = predictor.judge, {}

    def judged(inputs: Any) -> Any:
        keys = [hashlib.sha256(r.source[0].tobytes()).digest() for r in inputs.recordings]
        new = [k for k, key in enumerate(keys) if key not in known]
        if new:
            answers = judge(replace(inputs, recordings=[inputs.recordings[k] for k in new]))
            known.update((keys[k], row) for k, row in zip(new, zip(*answers, strict=True), strict=True))
        return tuple(np.array(column) for column in zip(*(known[key] for key in keys), strict=True))

    predictor.judge = judged


def score(args: argparse.Namespace) -> None:
    """Compare the timeline with the truth at each tenth of a second in which somebody speaks."""
    from sklearn.metrics import f1_score, recall_score

    from ser import Predictor

    truth = pd.read_csv(args.call.with_suffix(".csv"))
    count = round(truth["end"].max() / STEP) + 1
    predictor = Predictor(args.model, weights=args.weights)
    _remembering(predictor)
    for smooth, vad in ((0.0, ""), (args.smooth, ""), (0.0, "silero"), (args.smooth, "silero")):
        if args.vad and vad != args.vad:
            continue
        options = {"hop": args.hop, "channels": "split", "smooth": smooth, "vad": vad}
        rows = predictor.timeline(args.call, args.window, **options)
        for channels in ((0, 1), (0,), (1,)):
            right = [v for c in channels for v in _at_steps(truth, "emotion", c, count)]
            said = [v for c in channels for v in _at_steps(rows, "predicted", c, count)]
            spoken, heard = (np.array([v != "" for v in values]) for values in (right, said))
            r, s = (np.array(v)[spoken] for v in (right, said))
            labels = sorted(set(r))
            print(
                f"smooth {smooth:g} s, vad {vad or 'none'}, channel {'both' if len(channels) > 1 else channels[0]}: "
                f"UA {recall_score(r, s, average='macro', labels=labels, zero_division=0):.3f}, "
                f"macro-F1 {f1_score(r, s, average='macro', labels=labels, zero_division=0):.3f} of speech; "
                f"speech found {heard[spoken].mean():.3f}, silence taken for speech {heard[~spoken].mean():.3f}; "
                f"{int(rows['channel'].isin(channels).sum())} segments, F1 {_segment_f1(truth, rows, channels):.3f}",
                flush=True,
            )
    if args.picture:
        _draw(args.picture, truth, rows, predictor.classes)


def _draw(path: Path, truth: pd.DataFrame, rows: pd.DataFrame, classes: list[str]) -> None:
    """Draw truth and timeline of the first three minutes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(classes, plt.get_cmap("tab10").colors, strict=False))  # type: ignore[attr-defined]
    figure, axis = plt.subplots(figsize=(12, 3.2), layout="constrained")
    for k, (found, column) in enumerate(((truth, "emotion"), (rows, "predicted"))):
        for channel in (0, 1):
            for row in found[(found["channel"] == channel) & (found["start"] < 180)].itertuples():
                label = getattr(row, column)
                axis.barh(3 - 2 * channel - k, row.end - row.start, left=row.start, color=colours.get(label, "white"))
    axis.set_yticks([3, 2, 1, 0], [f"{n}, channel {c}" for c in (0, 1) for n in ("truth", "timeline")])
    axis.set_xlim(0, 180)
    axis.set_xlabel("s")
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in colours.values()]
    figure.legend(handles, list(colours), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)


class _OneAnswer:
    """A predictor that says the same of all that it hears: of its timeline the speakers are compared."""

    classes, dimensions = ("speech",), ()
    reads_dialogues = knows_novelty = False
    rate = RATE
    head = SimpleNamespace(target="emotion", inputs=(), standardises_by="", durations=None, audio=None)

    def say(self, line: str) -> None:
        """Nothing is said."""

    def judge(self, inputs: Any) -> tuple[Any, Any, Any]:
        count = len(inputs.recordings)
        return np.full(count, "", dtype=object), np.ones(count), np.ones((count, 1))


def speakers(args: argparse.Namespace) -> None:
    """The diarization error of `--diarize` on calls of two speakers on one channel, pairs of one gender and of two in turns."""
    import soxr

    from ser.audio.streams import Stream
    from ser.predict.timeline import Timeline, TimelineOptions
    from ser.predict.turns import Diarizer

    apart = Diarizer(args.encoder, args.number, args.weights, "cpu", lambda _: None)
    options = TimelineOptions(1.5, 0.5, diarize=True, speakers=args.number, speaker_encoder=args.encoder)
    errors: dict[str, list[tuple[float, float, float, int]]] = {"one gender": [], "two genders": []}
    for pair, genders, sound, truth in conversations(args):
        if args.rate != RATE:
            sound = soxr.resample(sound, RATE, args.rate)
        (turns,) = [apart.turns(Stream("call", args.rate, 1, iter([sound])), [None])]
        rows = Timeline(_OneAnswer(), Stream("call", args.rate, 1, iter([sound])), options, turns).rows()  # type: ignore[arg-type]
        said = np.zeros(len(truth), dtype=int)
        for row in rows:
            said[round(row["start"] / STEP) : round(row["end"] / STEP)] = row["speaker"] or 0
        found = _diarization_error(truth, said)
        errors[genders].append(found)
        print(pair, "error {:.3f}, of it confused {:.3f}; all one speaker {:.3f}; {} speakers".format(*found), flush=True)
    for name, values in errors.items():
        means = np.mean(values, axis=0)
        right = np.mean([v[3] == 2 for v in values])
        print(
            f"{name}, {len(values)} calls: error {means[0]:.3f}, of it confused {means[1]:.3f}; "
            f"all one speaker {means[2]:.3f}; two speakers found in {right:.2f}"
        )


def conversations(args: argparse.Namespace) -> Iterator[tuple[list[str], str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Draw calls of two speakers on one channel, pairs of one gender and of two in turns.

    Yields:
        The pair, `one gender` or `two genders`, sound `(samples, 1)`, and who speaks at each step: 1, 2, or 0 for nobody.
    """
    from itertools import chain, combinations, zip_longest

    from ser.metadata.table import load_table
    from ser.workspace import Workspace

    frame = load_table(args.dataset, Workspace(args.workspace)).frame
    gender = frame.groupby("speaker")["gender"].first()
    rng = np.random.default_rng(0)
    pairs = list(combinations(sorted(frame["speaker"].unique()), 2))
    same = [[p for p in rng.permutation(pairs).tolist() if (gender[p[0]] == gender[p[1]]) is one] for one in (True, False)]
    for pair in [p for p in chain.from_iterable(zip_longest(*same)) if p][: args.pairs]:
        genders = "one gender" if gender[pair[0]] == gender[pair[1]] else "two genders"
        yield pair, genders, *_conversation(frame, args.root, pair, args.minutes * 60, rng)


def _conversation(
    frame: pd.DataFrame, root: Path, pair: list[str], seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Turns of one to three utterances of two speakers, with pauses."""
    from ser.audio.reading import load

    pieces, truth, turn = [], [], 0
    while sum(map(len, truth)) * STEP < seconds:
        own = frame[frame["speaker"] == pair[turn % 2]]
        for _, row in own.sample(int(rng.integers(1, TURN + 1)), random_state=int(rng.integers(1 << 30))).iterrows():
            audio = load(root / row["path"], RATE)
            spoken, pause = round(len(audio) / RATE / STEP), round(rng.uniform(*PAUSE) / STEP)
            piece = np.zeros(round((spoken + pause) * STEP * RATE), dtype=np.float32)
            piece[: min(len(audio), len(piece))] = audio[: len(piece)]
            pieces.append(piece)
            truth.append(np.repeat([turn % 2 + 1, 0], [spoken, pause]))
        turn += 1
    return np.concatenate(pieces)[:, None], np.concatenate(truth)


def _diarization_error(truth: np.ndarray[Any, Any], said: np.ndarray[Any, Any]) -> tuple[float, float, float, int]:
    """Missed, false and confused time by the speech, no collar; what is confused; the same where all is one speaker's."""
    from scipy.optimize import linear_sum_assignment

    spoken = truth > 0
    counts = np.array([[(truth[said == k] == s).sum() for s in (1, 2)] for k in range(1, said.max() + 1)])
    pairs = linear_sum_assignment(-counts) if counts.size else None
    confused = counts.sum() - (counts[pairs].sum() if pairs else 0)
    wrong = (spoken & (said == 0)).sum() + (~spoken & (said > 0)).sum() + confused
    alone = min((truth == 1).sum(), (truth == 2).sum())
    return wrong / spoken.sum(), confused / spoken.sum(), alone / spoken.sum(), len(counts)


def length(args: argparse.Namespace) -> None:
    """Seconds and peak memory of `ser predict --window` by the length of the recording: whole processes."""
    call, rate = soundfile.read(args.call, dtype="float32")
    for minutes in map(float, args.minutes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "long.wav"
            wanted = int(minutes * 60 * rate)
            with soundfile.SoundFile(file, "w", rate, 2) as out:
                while out.tell() < wanted:
                    out.write(call[: wanted - out.tell()])
            more = ["--weights", str(args.weights)] if args.weights else []
            command = [
                sys.executable,
                "-m",
                "ser",
                "predict",
                str(file),
                "--model",
                str(args.model),
                "--format",
                "jsonl",
                *more,
            ]
            command += ["--window", str(args.window), "--hop", str(args.hop), "--channels", "split"]
            command += ["--vad", args.vad] if args.vad else []
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - start
            # The largest of all children so far: lengths go up, so that a later one is not hidden by an earlier.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            factor = seconds / minutes / 60
            print(f"{minutes:g} min: {seconds:.1f} s, real-time factor {factor:.4f}, peak {peak:.0f} MiB, {len(rows)} rows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    call = parts.add_parser("call")
    call.add_argument("--workspace", type=Path, required=True)
    call.add_argument("--dataset", required=True)
    call.add_argument("--root", type=Path, required=True)
    call.add_argument("--model", required=True, help="an experiment, whose fold's test speakers are heard")
    call.add_argument("--fold", required=True, help="as in its files' names")
    call.add_argument("--minutes", type=float, default=20)
    call.add_argument("--noise", type=float, help="white noise on both lines, dB below the speech")
    call.add_argument("--out", type=Path, required=True)
    call.set_defaults(run=make_call)
    pairs = parts.add_parser("speakers")
    pairs.add_argument("--workspace", type=Path, required=True)
    pairs.add_argument("--dataset", required=True)
    pairs.add_argument("--root", type=Path, required=True)
    pairs.add_argument("--encoder", required=True)
    pairs.add_argument("--weights", type=Path)
    pairs.add_argument("--number", type=int, help="of speakers, where it is given")
    pairs.add_argument("--pairs", type=int, default=12)
    pairs.add_argument("--minutes", type=float, default=3)
    pairs.add_argument("--rate", type=int, default=RATE, help="Hz of the calls: 8000 is a telephone's")
    pairs.set_defaults(run=speakers)
    for name, function in (("score", score), ("length", length)):
        part = parts.add_parser(name)
        part.add_argument("call", type=Path)
        part.add_argument("--model", required=True)
        part.add_argument("--weights", type=Path)
        part.add_argument("--window", type=float, default=4)
        part.add_argument("--hop", type=float, default=1)
        part.add_argument("--vad", default="")
        part.set_defaults(run=function)
        if name == "score":
            part.add_argument("--smooth", type=float, default=3)
            part.add_argument("--picture", type=Path)
        else:
            part.add_argument("--minutes", default="10,60")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
