"""Encoders whose features are known by another way, and a script that extracts with one: it is there to be killed.

python toy_encoder.py CORPUS WORKSPACE [--sleep S] [--jobs N] [--shard I N]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from ser.extract.encoder import Encoder
from ser.extract.extraction import extract
from ser.metadata.table import Table, make_table
from ser.workspace import Workspace

RATE = 8000


class Moments(Encoder):
    """Length, mean and deviation of the audio."""

    modality, level, dim, sample_rate, minimum = "audio", "utterance", 3, RATE, 10

    def __init__(self, name: str = "moments", sleep: float = 0.0, processes: bool = False, **identity: Any) -> None:
        self.name, self.sleep, self.processes = name, sleep, processes
        self.identity = {"plugin": "toy", "rate": RATE, **identity}
        self.assets = {}
        self.hook: Callable[[Any], None] = _nothing

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return [self._one(source) for source in inputs]

    def _one(self, audio: NDArray[np.float32]) -> NDArray[Any]:
        self.hook(audio)
        time.sleep(self.sleep)
        return np.array([len(audio), audio.mean(dtype=np.float64), audio.std(dtype=np.float64)], np.float32)


class Letters(Encoder):
    """Numbers of the letters of a text, of those letters that the training texts have."""

    name, modality, level, dim = "letters", "text", "frame", 1

    def __init__(self) -> None:
        self.assets, self.identity, self.calls = {}, {"plugin": "letters"}, []  # type: ignore[var-annotated]

    def prepare(self, texts: Sequence[str], assets: dict[str, str]) -> None:
        self.prepared = list(texts), dict(assets)
        known = assets.get("letters") or "".join(sorted(set("".join(texts))))
        self.assets, self.vocabulary = {"letters": known}, len(known) + 1

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        self.calls.append(list(inputs))
        return [np.array([[self.assets["letters"].find(c) + 1] for c in text], np.int32) for text in inputs]


def _nothing(_: Any) -> None: ...


def make_corpus(root: Path, count: int) -> None:
    """Wav files of noise, each of its own length."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 0.1, 800 + 7 * number).astype(np.float32)
        soundfile.write(root / f"u{number:03d}.wav", noise, RATE, subtype="FLOAT")


def table_of(root: Path, **columns: Callable[[str], Any]) -> Table:
    """A table of the wav files below a folder."""
    rows = [
        {"utterance_id": p.stem, "path": p.name, "label": "x", "emotion": "neutral"}
        | {c: value(p.stem) for c, value in columns.items()}
        for p in sorted(root.glob("*.wav"))
    ]
    return make_table(rows, "toy", {"root": str(root)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shard", type=int, nargs=2, default=[0, 1])
    a = parser.parse_args()
    encoder = Moments(sleep=a.sleep, processes=a.jobs > 1)
    report = extract(table_of(a.root), encoder, Workspace(a.workspace), jobs=a.jobs, shard=tuple(a.shard), quiet=True)[0]
    print(report.line())


if __name__ == "__main__":
    # Worker processes know the encoder by its module's name, which is not `__main__`.
    import toy_encoder

    toy_encoder.main()
