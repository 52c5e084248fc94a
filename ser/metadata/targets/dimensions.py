"""Numbers for each utterance: valence, arousal, dominance, or any other column of ratings.

Rows with a value of every named dimension are used. A head learns values in standard deviations of its training part; its
predictions, and all scores, are on the scale of the ratings. Corpora that are rated on different scales are brought to 0 to 1,
from the ends that their sidecars state: two answers at the ends of their scales then count as the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ser.errors import ConfigError
from ser.metadata.targets import TargetRows

if TYPE_CHECKING:
    from ser.metadata.labels import Scheme
    from ser.metadata.schema import Scale
    from ser.metadata.table import Table

LOSS, SELECTION, OUTPUT = "ccc", "CCC", "value"
SELECTIONS = ("CCC", "loss", "last")
UNUSED = ("class_weights", "label_smoothing")


def read(table: "Table", rule: "Scheme | None", names: tuple[str, ...], shared: Sequence[str] | None = None) -> TargetRows:
    """The rows that are rated on all of the named dimensions.

    Raises:
        ConfigError: the table has no such column, no row is, or all ratings of one are equal.
    """
    strange = [name for name in names if name not in table.ratings]
    if strange:
        raise ConfigError(
            f"--target {','.join(names)}: {table.dataset} has no ratings {' and '.join(map(repr, strange))}",
            expected=f"columns of ratings: {', '.join(table.ratings) or 'the table has none'}",
            action="Make a table that has them: ser metadata --from FILE --rating NAME:LOW:HIGH",
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
        raise ConfigError(f"--target {','.join(names)}: all values of {flat[0]} are {values[0, names.index(flat[0])]:g}")
    dropped = {f"no {' or no '.join(names)}": int((~keep).sum())} if not keep.all() else {}
    nothing = np.zeros(len(values))
    return TargetRows(keep, names, values, nothing.astype(np.int64), nothing.astype(bool), dropped)


def shared_scales(tables: Sequence["Table"], names: Sequence[str]) -> "dict[str, Scale]":
    """The scale of each dimension that several corpora are to have: their own where it is the same, else 0 to 1.

    Raises:
        ConfigError: a corpus does not state the scale of one of them.
    """
    found: dict[str, Scale] = {}
    for name in names:
        unknown = next((table.dataset for table in tables if name not in table.dimensions), None)
        if unknown is not None:
            raise ConfigError(
                f"the scale that {unknown} rates {name} on is not known, so that it cannot be compared with another corpus's",
                expected=f"its ends in metadata/{unknown}.json",
                action=f'Add there: "dimensions": {{"{name}": {{"low": 1, "high": 5}}}}',
            )
        first, *others = (table.dimensions[name] for table in tables)
        found[name] = first if all(other == first for other in others) else {"low": 0.0, "high": 1.0}
    return found


def on_scales(table: "Table", scales: "Mapping[str, Scale]") -> "tuple[Table, list[str]]":
    """The table with its ratings brought to some scales, and a stamp for each dimension that was rated on another.

    Dimensions of which the table states no scale are left as they are.
    """
    frame, dimensions, stamps = table.frame, dict(table.dimensions), []
    for name, scale in scales.items():
        own = dimensions.get(name, scale)
        if own == scale:
            continue
        share = (frame[name] - own["low"]) / (own["high"] - own["low"])
        frame = frame.assign(**{name: share * (scale["high"] - scale["low"]) + scale["low"]})
        dimensions[name] = scale
        stamps.append(f"{name} brought from the scale {in_words(own)} to {in_words(scale)}")
    if not stamps:
        return table, []
    return replace(table, frame=frame, facts={**table.facts, "dimensions": dimensions}), stamps


def in_words(scale: "Scale") -> str:
    """The ends of a scale, as 1 to 7."""
    return f"{scale['low']:g} to {scale['high']:g}"
