"""Files of example trees: a plugin's `example(folder)` makes a tiny corpus in the layout of the release, for its test."""

from pathlib import Path

RATE = 16000  # Hz


def write_tone(path: Path, seconds: float = 0.1) -> Path:
    """Write a tone of 16 kHz; the ending of the path says in which format."""
    import numpy as np
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 220 * time), RATE)
    return path


def write_tones(folder: Path, *paths: str) -> Path:
    """Write tones at paths below a folder, and return the folder."""
    for path in paths:
        write_tone(folder / path)
    return folder


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a text file with its line ends as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path
