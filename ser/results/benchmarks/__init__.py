"""Benchmarks as presets: everything fixed, and the published numbers beside ours. One file for each benchmark.

A plugin has `PRESETS`, the presets by name, whose names begin with the file's. `ser benchmark NAME` runs one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ser import registry
from ser.metadata.folds.fold_file import Line
from ser.registry import unknown

if TYPE_CHECKING:
    import pandas as pd

KIND = "benchmark"
FOLDER = "ser.results.benchmarks"


# What a preset fixes, each value stated, so that a changed default of `ser fit` changes no benchmark: of the data, and of
# training. The heads below sum the features of all stored layers with learned weights, and average frames.
DATA: dict[str, Any] = {
    "normalize": "train",
    "limit": 3.0,
    "stratified": False,
    "validation": "auto",
    "split_seed": 0,
    "seed": 0,
    "refit": "auto",
}
TRAINING: dict[str, Any] = {
    **DATA,
    "loss": "cross_entropy",
    "batch_size": 32,
    "weight_decay": 0.01,
    "schedule": "one-cycle",
    "patience": 15,
    "selection": "UA",
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "clip": 1.0,
    "context": "utterance",
    "precision": "float32",
    "average": "none",
    "snapshots": 1,
    "mixup": 0.0,
    "time_masks": "",
    "band_masks": "",
    "feature_noise": 0.0,
    "modality_dropout": 0.0,
}
HIDDEN = {"hidden": "512,256", "dropout": 0.5, "input_dropout": 0.2}
MLP: dict[str, Any] = {**TRAINING, "target": "emotion", "head": "mlp", "head_options": HIDDEN, "lr": 1e-3, "epochs": 40}
LINEAR: dict[str, Any] = {**TRAINING, "target": "emotion", "head": "linear", "head_options": {}, "lr": 1e-2, "epochs": 100}
OF_VOTES = {"target": "votes", "loss": "soft_cross_entropy", "selection": "loss"}
OF_DIMENSIONS = {"loss": "ccc", "selection": "CCC", "class_weights": "none", "label_smoothing": 0.0}


Folds = Callable[["pd.DataFrame"], Iterable[Line]]  # the rows of a table -> the lines of a fold file


def by(column: str, folds: Sequence[tuple[Collection[str], Collection[str]]]) -> Folds:
    """Folds by the values of a column: those of each test part, and of its validation part; all others are training."""

    def lines(frame: "pd.DataFrame") -> Iterator[Line]:
        for number, (test, validation) in enumerate(folds, start=1):
            for utterance, value in zip(frame["utterance_id"], frame[column], strict=True):
                if value in test or value in validation:
                    yield str(number), utterance, "test" if value in test else "validation"

    return lines


@dataclass(frozen=True)
class Preset:
    """A benchmark on one corpus.

    Attributes:
        corpus: the plugin of the corpus, or EmoBox's name of one that has none; the dataset's name unless another is given.
        utterances: that the benchmark has; None where it depends on the release.
        options: of `ser fit`: all that decides its numbers but the features.
        metric: that it is judged by.
        average: `folds`: the mean over folds of each fold's metric; `pooled`: all test predictions together.
        published: system -> its value of the metric, 0 to 1; {} where none could be read at its source.
        source: of these values, or of the protocol.
        remarks: sentences on what differs from the publication, and on what a reader must know.
        runs: seeds, unless another number is given.
        folds: of a benchmark with folds of its own, whose protocol is `file`.
        votes_of: whose votes the table must have, of a corpus with several kinds.
        sha256: of its test parts, `ser.train.experiments.benchmark.parts_sha256`; "" where the files were not available.
    """

    corpus: str
    utterances: int | None
    options: Mapping[str, Any]
    metric: str
    average: str
    published: Mapping[str, float]
    source: str
    remarks: tuple[str, ...] = field(default=())
    runs: int = 5
    folds: Folds | None = None
    votes_of: str = ""
    sha256: str = ""

    @property
    def average_in_words(self) -> str:
        """The way in which our value is averaged."""
        return "mean over the folds of each run" if self.average == "folds" else "test predictions of all folds together"


def presets() -> dict[str, Preset]:
    """All presets by name."""
    return {name: one for plugin in registry.names(FOLDER) for name, one in registry.load(FOLDER, plugin).PRESETS.items()}


def preset(name: str) -> Preset:
    """The preset of a name; a ConfigError, which lists those that there are, where there is none."""
    known = presets()
    if name not in known:
        raise unknown("benchmark", name, sorted(known))
    return known[name]


def fit_command(dataset: str, options: Mapping[str, Any]) -> str:
    """The `ser fit` with a preset's options, for people; those that are off are left out.

    >>> fit_command("emodb", {"head_options": {"hidden": "64"}, "stratified": False, "limit": 3.0, "time_masks": ""})
    'ser fit --dataset emodb --head-option hidden=64 --feature-limit 3.0'
    """
    words = [f"ser fit --dataset {dataset}"]
    for name, value in options.items():
        if name == "head_options":
            words += [f"--head-option {key}={inner}" for key, inner in value.items()]
        elif value not in (False, "", None) or (value == 0.0 and not isinstance(value, bool)):
            flag = "feature-limit" if name == "limit" else name.replace("_", "-")
            words.append(f"--{flag} {value}")
    return " ".join(words)
