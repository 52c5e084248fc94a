"""Benchmarks as presets: everything fixed, and the published numbers beside ours. One file for each benchmark.

A plugin has `PRESETS`, the presets by name, whose names begin with the file's. `ser benchmark NAME` runs one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ser import registry
from ser.errors import ConfigError
from ser.registry import unknown

KIND = "benchmark"
FOLDER = "ser.results.benchmarks"


@dataclass(frozen=True)
class Preset:
    """A benchmark on one corpus.

    Attributes:
        corpus: the plugin of the corpus, and the dataset's name unless another is given.
        utterances: that the benchmark has; None where it depends on the release.
        options: of `ser fit`: all that the benchmark fixes.
        metric: that it is judged by.
        average: `folds`: the mean over folds of each fold's metric; `pooled`: all test predictions together.
        published: system -> its value of the metric, 0 to 1.
        source: of these values.
        remarks: sentences on what differs from the publication, and on what a reader must know.
    """

    corpus: str
    utterances: int | None
    options: Mapping[str, Any]
    metric: str
    average: str
    published: Mapping[str, float]
    source: str
    remarks: tuple[str, ...] = field(default=())

    @property
    def average_in_words(self) -> str:
        """How our value is averaged."""
        return (
            "mean over the folds of each run" if self.average == "folds" else "test predictions of all folds together"
        )


def presets() -> dict[str, Preset]:
    """All presets by name."""
    return {
        name: one for plugin in registry.names(FOLDER) for name, one in registry.load(FOLDER, plugin).PRESETS.items()
    }


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ConfigError: there is none; the message lists those that there are.
    """
    known: dict[str, Preset] = presets()
    if name not in known:
        error: ConfigError = unknown("benchmark", name, sorted(known))
        raise error
    return known[name]
