"""Parts for ser in a package of their own: pip install ./examples/plugin. See docs/extending.md.

A kind of study and the command that makes it are in `side_by_side.py`, as `ser new study side_by_side` writes it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.errors import CorpusError
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.options import EncoderOptions
from ser.metadata.schema import Row
from ser.train.adapt._base import Adaptation, Side
from ser.train.fewshot.methods._base import Answer, Rows, Task, nearest_centroid
from ser.train.heads._base import Takes
from ser.train.losses._base import Batch, Term
from ser.train.nn.layers import Features, Input


class TwoLayers(nn.Module):
    """Two layers on the pooled features of all stores; trains one seed at a time."""

    stackable = False
    DEFAULTS: ClassVar[dict[str, Any]] = {"lr": 1e-3, "epochs": 30}
    TAKES = Takes(("pooled",))

    def __init__(self, inputs: list[Input], classes: int, hidden: int = 32) -> None:
        super().__init__()
        self.names = [i.name for i in inputs]
        self.first = nn.Linear(sum(i.dim * i.layers for i in inputs), hidden)
        self.last = nn.Linear(hidden, classes)

    def embed(self, batch: Features) -> Tensor:
        """`(1, batch, hidden)`."""
        values = [batch[name].values for name in self.names]  # (1, batch, D), or (1, batch, layers, D)
        return torch.relu(self.first(torch.cat([v.flatten(2) for v in values], dim=-1)))

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.last(self.embed(batch))
        return out


class PlainNll(Term):
    """The negative log likelihood without class weights."""

    def forward(self, batch: Batch) -> Tensor:
        return -F.log_softmax(batch.logits, dim=-1).gather(2, batch.labels[..., None])[..., 0].mean(1)


class Loudness(Encoder):
    """The mean and the standard deviation of the level of 25 ms, natural logarithm of the root mean square."""

    MODALITY, SOURCE, LICENCE = "audio", "an example", "no weights"
    LEVELS, DIM = ("utterance",), "2"
    CHECKPOINTS: ClassVar[dict[str, Checkpoint]] = {}
    name, modality, level, dim, sample_rate, minimum = "loudness", "audio", "utterance", 2, 16000, 400
    processes = True

    def __init__(self, name: str, options: EncoderOptions) -> None:
        self.identity, self.assets = {"plugin": "loudness", "model": None, "level": "utterance"}, {}

    def encode(self, inputs: Sequence[Any]) -> list[Any]:
        return [self._encode(audio) for audio in inputs]

    def _encode(self, audio: Any) -> Any:
        windows = audio[: len(audio) // 400 * 400].reshape(-1, 400)
        level = np.log(np.sqrt((windows**2).mean(1)) + 1e-5)
        return np.array([level.mean(), level.std()], dtype=np.float32)


class MeanShift(Adaptation):
    """The squared distance of the means of both corpora's embeddings."""

    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        return (source.embedding.mean(1) - target.embedding.mean(1)).square().mean(-1)


class NamedFiles:
    """A corpus whose files are called EMOTION-SPEAKER-NUMBER.wav, as anger-anna-1.wav."""

    TITLE, CITATION, LICENCE, URL, LANGUAGE = "Named files", "none: an example", "that of the audio in it", "", ""
    TREE = "anger-anna-1.wav"
    LABELS: ClassVar[dict[str, str]] = {name: name for name in ("anger", "happiness", "neutral", "sadness")}
    UTTERANCES = SENTENCES = None

    def parse(self, root: Path) -> Iterator[Row]:
        """One row for each file of such a name.

        Raises:
            CorpusError: there is none.
        """
        files = [f for f in sorted(root.glob("*-*-*.wav")) if f.name.split("-")[0] in self.LABELS]
        if not files:
            raise CorpusError(f"no named files in {root}", expected="EMOTION-SPEAKER-NUMBER.wav, as anger-anna-1.wav")
        for file in files:
            emotion, speaker, _ = file.stem.split("-", 2)
            yield {"utterance_id": file.stem, "path": file.name, "label": emotion, "emotion": emotion, "speaker": speaker}

    def example(self, root: Path) -> Path:
        """Write an example tree and return its root."""
        root.mkdir(parents=True)
        for name in ("anger-anna-1", "sadness-anna-2", "sadness-ben-1"):
            soundfile.write(root / f"{name}.wav", np.sin(np.arange(1600) / 10) / 10, 16000)
        return root


class RootMeans:
    """Few shots: the nearest mean after the signed root of each number, which tames those that are large."""

    FROM_SOURCE, NEEDS_SOURCE, READS_EMBEDDING = True, False, True

    def learn(self, task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
        """Probabilities for the test rows from some labelled rows of the target."""
        return nearest_centroid(task, shots, lambda vectors: np.sign(vectors) * np.sqrt(np.abs(vectors)))
