"""Numbers for each utterance: valence, arousal, dominance, or any other column of ratings.

Rows with a value of every named dimension are used. A head learns values in standard deviations of its training part; its
predictions, and all scores, are on the scale of the ratings.
"""

from typing import TYPE_CHECKING

import numpy as np

from ser.errors import ConfigError
from ser.metadata.targets import TargetRows

if TYPE_CHECKING:
    from ser.metadata.labels import Scheme
    from ser.metadata.table import Table

LOSS, SELECTION, OUTPUT = "ccc", "CCC", "value"
SELECTIONS = ("CCC", "loss", "last")
UNUSED = ("class_weights", "label_smoothing")


def read(table: "Table", rule: "Scheme | None", names: tuple[str, ...]) -> TargetRows:
    """The rows that are rated on all of the named dimensions.

    Raises:
        ConfigError: the table has no such column, no row is, or all ratings of one are equal.
    """
    strange = [name for name in names if name not in table.ratings]
    if strange:
        raise ConfigError(
            f"--target {','.join(names)}: {table.dataset} has no ratings {strange[0]!r}",
            expected=f"columns of ratings: {', '.join(table.ratings) or 'the table has none'}",
        )
    values = table.frame[list(names)].to_numpy(dtype=np.float64)
    keep = ~np.isnan(values).any(1)
    if keep.sum() < 2:
        raise ConfigError(
            f"--target {','.join(names)}: {int(keep.sum())} utterances of {table.dataset} have all of these",
            expected="two or more",
        )
    values = values[keep]
    flat = [name for name, spread in zip(names, np.ptp(values, axis=0), strict=True) if spread == 0]
    if flat:
        raise ConfigError(
            f"--target {','.join(names)}: all values of {flat[0]} are {values[0, names.index(flat[0])]:g}"
        )
    dropped = {f"no {' or no '.join(names)}": int((~keep).sum())} if not keep.all() else {}
    nothing = np.zeros(len(values))
    return TargetRows(keep, names, values, nothing.astype(np.int64), nothing.astype(bool), dropped)
