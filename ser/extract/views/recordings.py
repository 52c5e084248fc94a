"""A folder of recordings that views are made with: noises (such as MUSAN), or measured impulse responses of rooms."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.audio import reading
from ser.audio.decoding import read_sound
from ser.audio.files import ENDINGS
from ser.errors import AudioError, ConfigError
from ser.files import JsonObject

TRIES = 20  # to find a place of a noise that is not silent
SILENT = 1e-10  # power below which it is


@dataclass(frozen=True)
class RecordingFolder:
    """Audio files below a folder.

    Attributes:
        root: the folder.
        files: their paths below it, in order.
        seconds: of each.
        sha256: of names and contents: another noise in the folder makes another view.
    """

    root: Path
    files: tuple[str, ...]
    seconds: tuple[float, ...]
    sha256: str

    @property
    def definition(self) -> JsonObject:
        """The definition of the recordings, without the place where they lie. JSON-able."""
        return {"files": len(self.files), "sha256": self.sha256}

    def noise(self, samples: int, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """A piece of one of them, `(samples,)`, from a place drawn at random; one that is too short is repeated.

        Raises:
            AudioError: a file cannot be read, or nothing but silence was found.
        """
        for _ in range(TRIES):
            number = int(rng.integers(len(self.files)))
            needed = samples / rate
            spare = self.seconds[number] - needed
            start = float(rng.uniform(0, max(spare, 0.0)))
            whole = spare <= 0
            path = self.root / self.files[number]
            piece = reading.load(path, rate, start=None if whole else start, end=None if whole else start + needed)
            if len(piece) and float(np.var(piece, dtype=np.float64)) > SILENT:
                shift = int(rng.integers(len(piece))) if whole else 0
                return np.resize(np.roll(piece, -shift), samples).astype(np.float64)
        raise AudioError(f"the noises in {self.root} are silent", found=f"{TRIES} silent pieces, one after another")

    def impulse(self, rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """One of them, whole.

        Raises:
            AudioError: it cannot be read, or is silent.
        """
        path = self.root / self.files[int(rng.integers(len(self.files)))]
        response = reading.load(path, rate).astype(np.float64)
        if not response.any():
            raise AudioError(f"the impulse response {path} is silent")
        return response


def open_folder(root: Path, option: str) -> RecordingFolder:
    """The recordings in a folder and in those below it.

    Args:
        option: of the command line, for messages.

    Raises:
        ConfigError: the folder does not exist, has no audio, or a file cannot be read.
    """
    if not root.is_dir():
        raise ConfigError(f"{option} {root}: there is no such folder")
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        raise ConfigError(f"{option} {root}: there are no recordings", expected=f"files that end in {', '.join(ENDINGS)}")
    import hashlib

    digest = hashlib.sha256()
    seconds = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for name, (content, length) in zip(files, pool.map(lambda f: _read(root / f), files), strict=True):
                digest.update(f"{name}\0{content}\n".encode())
                seconds.append(length)
        except AudioError as error:
            raise ConfigError(f"{option} {root}: {error.line()}") from None
    return RecordingFolder(root, tuple(files), tuple(seconds), digest.hexdigest())


def _read(path: Path) -> tuple[str, float]:
    """SHA-256 and seconds of a file."""
    content = reading.file_hash(path).hexdigest()
    return content, read_sound(path, lambda sound: float(sound.frames / sound.samplerate))
