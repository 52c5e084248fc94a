"""One class and dimensions of each utterance, by one head: `--target emotion,arousal,valence`.

The head's first outputs are those of the classes, by a softmax; then come the values of the dimensions. Losses on classes and
losses on dimensions each see their own outputs, and their weights say how much each counts: `--loss cross_entropy,ccc:0.5`.
Utterances that lack the class or one of the ratings are left out. Scores and the choice of an epoch are those of the classes;
each dimension has its own scores beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ser.errors import ConfigError
from ser.metadata.targets import EMOTION, TargetRows, dimensions

if TYPE_CHECKING:
    from ser.metadata.labels import Scheme
    from ser.metadata.table import Table

LOSS, SELECTION, OUTPUT = "cross_entropy,ccc", "UA", "softmax and value"
SELECTIONS = ("UA", "WA", "loss", "last")
UNUSED = ()


def read(table: "Table", rule: "Scheme", names: tuple[str, ...], shared: Sequence[str] | None = None) -> TargetRows:
    """The rows that have a class of the scheme, and are rated on all of the named dimensions.

    Raises:
        ConfigError: as of dimensions; fewer than two classes are left, or one is called like a dimension.
    """
    asked = ",".join((EMOTION, *names))
    emotions = rule.apply(table.frame)
    classed = emotions.isin(list(shared or rule.classes)).to_numpy()
    rated = dimensions.read(replace(table, frame=table.frame[classed].reset_index(drop=True)), rule, names)
    keep = classed.copy()
    keep[classed] = rated.keep
    own = emotions.to_numpy(dtype=object)[keep]
    classes = tuple(name for name in shared or rule.classes if shared or (own == name).any())
    if len(classes) < 2:
        raise ConfigError(
            f"--target {asked}: rated utterances of {table.dataset} have {len(classes)} class ({', '.join(classes) or 'none'})",
            expected="two or more",
        )
    alike = sorted(set(classes) & set(names))
    if alike:
        raise ConfigError(f"--target {asked}: {alike[0]} is a class and a dimension", action="Take one of the two.")
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[name] for name in own], dtype=np.int64)
    out = emotions[~classed].count()
    dropped = {f"not in scheme {rule.name}": int(out)} if out else {}
    return TargetRows(keep, classes, rated.values, labels, np.zeros(len(labels), dtype=bool), dropped | rated.dropped)
