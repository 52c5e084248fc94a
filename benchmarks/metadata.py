"""`ser metadata` on trees of tiny wavs: rows a second, and the most memory that the process held.

    python benchmarks/metadata.py                    # 25,000, 50,000 and 100,000 files, in a temporary folder
    python benchmarks/metadata.py --files 5000       # a try
    python benchmarks/metadata.py --audit 10000      # and `ser audit` of so many, twice
    python benchmarks/metadata.py --files --podcast 200000   # MSP-Podcast's layout: so many turns, five listeners each
    python benchmarks/metadata.py --files --copies 100000    # the search for copies alone, over random fingerprints of 3 s

The tree is a folder of folders, LABEL/SPEAKER/N.wav: 4 labels, 50 speakers, 0.05 s each (audits: 1 s of noise with a changing
spectrum). Every command is a process of its own; its time includes Python's start. The files were just written, so they lie
in the page cache.
"""

import argparse
import cProfile
import json
import os
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ser.audio.measure import Measured
from ser.audit.near_copies import find_copies
from ser.metadata.corpus import parse_corpus

LABELS = ("angry", "happy", "neutral", "sad")
SPEAKERS = 50
RATE = 16000
# Runs a command in a child and prints its exit code, seconds and peak memory: of its largest process, not of all together.
METER = """
import json, resource, subprocess, sys, time
clock = time.monotonic()
code = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.monotonic() - clock, used.ru_maxrss, used.ru_utime + used.ru_stime]))
"""


def tree(root: Path, files: int, seconds: float) -> None:
    """A corpus of so many files. Up to a second of sound is different in each; tiny ones are all the same."""
    tiny = np.zeros(round(seconds * RATE), dtype=np.int16)
    for number in range(files):
        folder = root / LABELS[number % len(LABELS)] / f"s{number // len(LABELS) % SPEAKERS:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        sound = tiny if seconds < 0.5 else babble(number, seconds)
        soundfile.write(folder / f"{number:06d}.wav", sound, RATE)


def babble(seed: int, seconds: float) -> np.ndarray:
    """Tones that come and go over a little noise: no two are alike, and a fingerprint has something to hold on to."""
    rng = np.random.default_rng(seed)
    time_axis = np.arange(round(seconds * RATE)) / RATE
    tones = rng.uniform(250, 2500, 12)
    knots = np.linspace(0, seconds, 12)
    parts = [np.interp(time_axis, knots, rng.uniform(0, 1, 12)) * np.sin(2 * np.pi * f * time_axis) for f in tones]
    return np.asarray(0.05 * np.sum(parts, axis=0) + 0.005 * rng.normal(size=len(time_axis)), dtype=np.float32)


def metered(*words: str) -> tuple[int, float, float, float]:
    """Exit code, seconds, peak MiB and seconds of the processor of a `ser` command."""
    command = [sys.executable, "-c", "from ser.cli import entry; entry()", *words]
    done = subprocess.run([sys.executable, "-c", METER, *command], stdout=subprocess.PIPE, text=True, check=True)
    code, seconds, peak, processor = json.loads(done.stdout.splitlines()[-1])
    return (code, seconds, peak / (2**20 if sys.platform == "darwin" else 2**10), processor)  # macOS gives bytes, Linux KiB


def metadata(files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ser-metadata-") as folder:
        root = Path(folder) / "corpus"
        tree(root, files, 0.05)
        options = ("--workspace", folder, "--dataset", "tiny", "--quiet")
        code, seconds, peak, _ = metered("metadata", *options, "--format", "folder", "--root", str(root))
        assert code == 0
        print(f"| {files:,} | {seconds:.1f} | {files / seconds:,.0f} | {peak:.0f} |", flush=True)


def podcast(turns: int) -> None:
    """MSP-Podcast's own layout: its two label files, of which the detailed one has five lines a turn, transcripts and wavs."""
    print("\n| MSP-Podcast's layout, turns | seconds | of the processor | peak MiB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="ser-podcast-") as folder:
        root = Path(folder) / "corpus"
        podcast_tree(root, turns)
        options = ("--workspace", folder, "--dataset", "msppodcast", "--quiet", "--root", str(root))
        for audio in ("wavs and transcripts", "transcripts only"):
            code, seconds, peak, processor = metered("metadata", *options)
            assert code == 0
            print(f"| {turns:,}, {audio} | {seconds:.1f} | {processor:.1f} | {peak:.0f} |", flush=True)
            shutil.rmtree(root / "Audios", ignore_errors=True)
        profiled(root)


def podcast_tree(root: Path, turns: int) -> None:
    """Turns with random labels: a fifth without a majority, a tenth of unknown speakers. The wavs are all one file's bytes."""
    rng = np.random.default_rng(0)
    words = ("Neutral", "Happy", "Angry", "Sad", "Surprise", "Fear", "Disgust", "Contempt", "Other-worried, a little")
    parts = ("Train", "Train", "Train", "Development", "Test1", "Test2")
    for name in ("Audios", "Transcripts", "Labels"):
        (root / name).mkdir(parents=True)
    wav = root / "Audios" / "one"
    soundfile.write(wav, np.zeros(round(0.05 * RATE), dtype=np.int16), RATE, format="WAV")
    sound = wav.read_bytes()
    wav.unlink()
    with (
        (root / "Labels" / "labels_consensus.csv").open("w") as consensus,
        (root / "Labels" / "labels_detailed.csv").open("w") as details,
    ):
        consensus.write("FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n")
        details.write("FileName,EmoDetail\n")
        for number in range(turns):
            name = f"MSP-PODCAST_{number // 50:04d}_{number % 50:04d}"
            speaker = "Unknown" if rng.random() < 0.1 else str(number // 120)
            gender = "Unknown" if speaker == "Unknown" else ("Female", "Male")[number // 120 % 2]
            label = "X" if rng.random() < 0.2 else "NHASUFDCO"[rng.integers(9)]
            means = ",".join(f"{x:.6f}" for x in rng.uniform(1, 7, 3))
            consensus.write(f"{name}.wav,{label},{means},{speaker},{gender},{parts[number // 120 % len(parts)]}\n")
            for worker, choice, (a, v, d) in zip(
                rng.integers(10_000, size=5), rng.integers(9, size=5), rng.integers(1, 8, (5, 3)), strict=True
            ):
                cell = f"WORKER{worker:08d}; {words[choice]}; {words[choice]},Concerned; A:{a}.0; V:{v}.0; D:{d}.0;"
                details.write(f'{name}.wav,"{cell}"\n')
            (root / "Audios" / f"{name}.wav").write_bytes(sound)
            (root / "Transcripts" / f"{name}.txt").write_text("And then it was said, in a few words, what had been done.")


def profiled(root: Path) -> None:
    """The most expensive functions of the parse and of the table, without audio; measuring slows them."""
    profile = cProfile.Profile()
    profile.enable()
    parse_corpus("msppodcast", root)
    profile.disable()
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(12)


def audit(files: int) -> None:
    print("\n| `ser audit`, utterances of 1 s | seconds | utterances/s | peak MiB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="ser-audit-") as folder:
        root = Path(folder) / "corpus"
        tree(root, files, 1.0)
        options = ("--workspace", folder, "--dataset", "tiny", "--quiet")
        metered("metadata", *options, "--format", "folder", "--root", str(root))
        for turn in ("first", "second"):
            _, seconds, peak, _ = metered("audit", *options, "--protocol", "speaker", "--folds", "5")
            print(f"| {files:,}, {turn} | {seconds:.1f} | {files / seconds:,.0f} | {peak:.0f} |", flush=True)


def copies(count: int) -> None:
    """One in a hundred is another one's copy, cut by 0.2 s at the beginning."""
    rng = np.random.default_rng(0)
    found = [Measured(peak=1.0, sha256=str(k), words=words) for k, words in enumerate(_random_words(rng, count))]
    for k in range(count // 100):
        found[-1 - k] = Measured(peak=1.0, sha256=f"copy {k}", words=found[k].words[10:].copy())
    before, clock = _peak(), time.monotonic()
    pairs = find_copies([str(k) for k in range(count)], found).near_identical
    right = {(str(k), str(count - 1 - k)) for k in range(count // 100)}
    print(f"\n{count:,} fingerprints: {time.monotonic() - clock:.1f} s, {_peak() - before:.0f} MiB above the fingerprints")
    print(f"{len(right & set(pairs)):,} of {len(right):,} copies found, {len(set(pairs) - right)} pairs that are none")


def _random_words(rng: np.random.Generator, count: int) -> Iterator[NDArray[np.uint32]]:
    return (rng.integers(1, 2**32, 150, dtype=np.uint32) for _ in range(count))


def _peak() -> float:
    """Most memory that this process has held, MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="*", default=[25_000, 50_000, 100_000])
    parser.add_argument("--audit", type=int, default=0, metavar="N")
    parser.add_argument("--podcast", type=int, default=0, metavar="N")
    parser.add_argument("--copies", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.files:
        print("| `ser metadata`, files | seconds | rows/s | peak MiB |\n| --- | --- | --- | --- |", flush=True)
    for files in arguments.files:
        metadata(files)
    if arguments.audit:
        audit(arguments.audit)
    if arguments.podcast:
        podcast(arguments.podcast)
    if arguments.copies:
        copies(arguments.copies)
    print(f"\n{os.cpu_count()} cores, {time.monotonic() - started:.0f} s in all, making the trees included")


if __name__ == "__main__":
    main()
