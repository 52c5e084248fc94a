"""The separation of copies of a recording from other recordings: bits in which fingerprints differ.

    python benchmarks/copies.py ../shared/data/ravdess ../shared/data/emodb

Copies: 60 recordings of each corpus by each of the changes below; found means that `ser audit` would name the pair. Others: all
pairs of one speaker's recordings, laid over each other at every distance in time, so at the worst for the audit, which looks
at three.
"""

import argparse
import io
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ser.audio.measure import Measured, Words, fingerprint
from ser.audio.reading import Audio, decode
from ser.audit.near_copies import LEAST, LIMIT, error_rate, find_copies
from ser.metadata.corpus import parse_corpus

SAMPLE = 60
Change = Callable[[Audio, int], tuple[Audio, int]]


def coded(audio: Audio, rate: int, form: str, subtype: str, **options: object) -> tuple[Audio, int]:
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format=form, subtype=subtype, **options)
    file.seek(0)
    data, rate = soundfile.read(file, dtype="float32")
    return data, rate


def cut(audio: Audio, rate: int, start: float, end: float) -> tuple[Audio, int]:
    return audio[round(start * rate) : len(audio) - round(end * rate)], rate


def noisy(audio: Audio, rate: int, snr: float) -> tuple[Audio, int]:
    noise = np.random.default_rng(0).normal(size=len(audio)) * audio.std() * 10 ** (-snr / 20)
    return (audio + noise).astype(np.float32), rate


def lossy(quality: float) -> dict[str, Change]:
    mp3 = {"compression_level": quality, "bitrate_mode": "CONSTANT"}
    return {
        f"MP3, compression {quality}": lambda a, r: coded(a, r, "MP3", "MPEG_LAYER_III", **mp3),
        f"Vorbis, compression {quality}": lambda a, r: coded(a, r, "OGG", "VORBIS", compression_level=quality),
        f"Opus, compression {quality}": lambda a, r: coded(a, r, "OGG", "OPUS", compression_level=quality),
    }


CHANGES: dict[str, Change] = {
    "gain -10 dB": lambda a, r: (a * np.float32(0.316), r),
    "44.1 kHz": lambda a, r: (soxr.resample(a, r, 44100), 44100),
    "8 kHz": lambda a, r: (soxr.resample(a, r, 8000), 8000),
    "u-law": lambda a, r: coded(a, r, "WAV", "ULAW"),
    **lossy(0.5),
    **lossy(0.9),
    "cut by 0.31 s and 0.2 s": lambda a, r: cut(a, r, 0.31, 0.2),
    "cut by half a hop": lambda a, r: cut(a, r, 0.01, 0),
    "cut, MP3 0.5, gain": lambda a, r: coded(
        np.float32(0.5) * cut(a, r, 0.31, 0.2)[0], r, "MP3", "MPEG_LAYER_III", compression_level=0.5
    ),
    "white noise, 20 dB": lambda a, r: noisy(a, r, 20),
    "white noise, 10 dB": lambda a, r: noisy(a, r, 10),
    "faster by 3 %": lambda a, r: (soxr.resample(a, r, r / 1.03), r),
}


def closest(one: Words, other: Words) -> float:
    """The least share of differing bits over all distances in time; 1 where too few words coincide."""
    return min(error_rate(one, other, d) for d in range(-len(one), len(other)))


def corpus(root: Path) -> None:
    table = parse_corpus(root.name, root)
    paths = [table.root / p for p in table.frame["path"]]
    sounds = [decode(path) for path in paths]
    words = [fingerprint(*sound) for sound in sounds]
    print(f"\n{root.name}: {len(paths)} recordings\n")
    print("| change | found | bits that differ, median | most |\n| --- | --- | --- | --- |")
    chosen = np.random.default_rng(0).choice(len(paths), SAMPLE, replace=False)
    for name, change in CHANGES.items():
        copies = [fingerprint(*change(*sounds[k])) for k in chosen]
        measured = [Measured(peak=1.0, sha256=f"{n}", words=w) for n, w in enumerate([*(words[k] for k in chosen), *copies])]
        pairs = set(find_copies([str(n) for n in range(2 * SAMPLE)], measured).near_identical)
        found = sum((str(n), str(n + SAMPLE)) in pairs for n in range(SAMPLE))
        wrong = len(pairs) - found
        bits = np.array([closest(words[k], w) for k, w in zip(chosen, copies, strict=True)])
        print(
            f"| {name} | {found} of {SAMPLE}{f', {wrong} wrong' if wrong else ''} | {np.median(bits):.3f} | {bits.max():.3f} |"
        )
    by_speaker = defaultdict(list)
    for number, speaker in enumerate(table.frame["speaker"]):
        by_speaker[speaker].append(number)
    pairs = [(a, b) for rows in by_speaker.values() for n, a in enumerate(rows) for b in rows[:n]]
    bits = np.array([closest(words[a], words[b]) for a, b in pairs])
    same = bits == 0
    others = np.sort(bits[~same & (bits < 1)])
    print(
        f"\n{len(pairs)} pairs of one speaker: {int(same.sum())} identical; of {len(others)} that have {LEAST} words in common"
    )
    print(f"the nearest differ in {', '.join(f'{b:.3f}' for b in others[:5])} of the bits; the limit is {LIMIT}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+")
    for root in parser.parse_args().roots:
        corpus(root)


if __name__ == "__main__":
    main()
