"""Features in memory, of every kind that a store can give a head."""

from collections.abc import Callable

import numpy as np
import pytest

from ser.features.blocks import Block
from ser.train.loop.data import Data, Resident

CLASSES = 4
KINDS = {
    "pooled": ("pooled",),
    "layers": ("layers",),
    "frames": ("frames",),
    "words": ("words",),
    "pooled+pooled": ("pooled", "other"),
    "frames+words": ("frames", "words"),
    "pooled+words": ("pooled", "words"),
    "three": ("pooled", "frames", "words"),
}


@pytest.fixture(scope="session")
def blocks() -> dict[str, Block]:
    """Features of 150 utterances in 4 classes; the labels are `numpy.arange(150) % 4`."""
    random = np.random.default_rng(0)
    y = np.arange(150) % CLASSES
    lengths = random.integers(2, 9, len(y))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    centres = random.normal(size=(CLASSES, 12))
    pooled = (centres[y] + random.normal(size=(len(y), 12))).astype(np.float32)
    frames = (centres[y].repeat(lengths, 0) + random.normal(size=(offsets[-1], 12))).astype(np.float32)
    words = (1 + 3 * y.repeat(lengths) + random.integers(0, 6, offsets[-1])).astype(np.int32)[:, None]
    return {
        "pooled": Block("pooled", "audio", pooled),
        "other": Block("other", "text", pooled[:, ::-1].copy()),
        "layers": Block("layers", "audio", np.stack([pooled, pooled * 0.1, -pooled], axis=1)),
        "frames": Block("frames", "audio", frames, offsets),
        "words": Block("words", "text", words, offsets, vocabulary=17),
    }


@pytest.fixture
def data(blocks: dict[str, Block]) -> Callable[..., Data]:
    """Training data of one kind of features: 100 rows to train, 25 to validate, 25 left."""

    def make(kind: str = "pooled") -> Data:
        labels = np.arange(150) % CLASSES
        return Data(Resident([blocks[b] for b in KINDS[kind]]), labels, CLASSES, np.arange(100), np.arange(100, 125))

    return make
