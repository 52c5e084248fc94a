"""The distribution of the annotators' votes over the classes of a label scheme (soft labels).

Votes for emotions that the scheme leaves out are left out, and the rest sums to 1 again. Where a corpus keeps the share of
its own label only (EmoDB: listeners who recognised it), the rest is spread evenly over the other classes, and results are
stamped so. Utterances without a majority, whose label is empty, are trained on; they are tested on nowhere, as the metrics of
classes need a label. Training on votes: Fayek et al., IJCNN 2016; EMO-SUPERB, Wu et al., arXiv 2402.13018.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.metadata.targets import TargetRows

if TYPE_CHECKING:
    from ser.metadata.labels import Scheme
    from ser.metadata.table import Table

LOSS, SELECTION, OUTPUT = "soft_cross_entropy", "UA", "softmax"
SELECTIONS = ("UA", "WA", "loss", "last")
UNUSED = ()
COMPLETE = 1e-3  # votes whose sum is nearer to 1 are of all annotators


def read(table: "Table", rule: "Scheme", names: tuple[str, ...], shared: Sequence[str] | None = None) -> TargetRows:
    """The rows with votes for a class of the scheme, or of those that are shared.

    Raises:
        ConfigError: the table has no votes, or these are for fewer than two classes.
    """
    frame = table.frame
    if not table.has("votes"):
        raise ConfigError(
            f"--target votes: {table.dataset} has no votes", expected="a table whose column votes has shares by emotion"
        )
    shares, total = shares_of(frame, rule.mapping, rule.classes)
    own = rule.apply(frame).to_numpy(dtype=object)
    named = [k for k, name in enumerate(rule.classes) if shared is None or name in shared]
    keep = shares[:, named].sum(1) > 0
    present = [k for k in named if shared is not None or (shares[keep, k] > 0).any()]
    outputs = tuple(rule.classes[k] for k in present)
    if len(outputs) < 2:
        raise ConfigError(
            f"--target votes: the votes of {table.dataset} are for {len(outputs)} class of scheme {rule.name}",
            expected="two or more",
        )
    values = shares[np.ix_(keep, present)]
    alone = np.abs(total[keep] - 1) >= COMPLETE
    rest = np.where(values[alone] > 0, 0.0, 1.0)
    missing = np.maximum(0, 1 - values[alone].sum(1, keepdims=True))
    values[alone] += missing * rest / np.maximum(1, rest.sum(1, keepdims=True))
    values /= values.sum(1, keepdims=True)
    number = {name: k for k, name in enumerate(outputs)}
    labels = np.array([number.get(name, -1) for name in own[keep]], dtype=np.int64)
    untested = labels < 0
    labels = np.where(untested, values.argmax(1), labels)
    dropped = {"no votes": int((frame["votes"] == "").sum())}
    dropped["no votes for a class of the scheme"] = int((~keep).sum()) - dropped["no votes"]
    stamps = []
    if alone.any():
        stamps.append(
            f"of {int(alone.sum())} utterances only some votes are known: the rest was spread evenly over the other classes"
        )
    if untested.any():
        stamps.append(f"{int(untested.sum())} utterances without a label of the scheme are trained on and not tested")
    return TargetRows(keep, outputs, values, labels, untested, {k: n for k, n in dropped.items() if n}, stamps)


def shares_of(
    frame: pd.DataFrame, mapping: Mapping[str, str], classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares of the votes by class, `(n, K)`, and their sum over all emotions, `(n,)`, as the table has them.

    Args:
        mapping: emotion -> class, of the label scheme.
    """
    place = {name: k for k, name in enumerate(classes)}
    shares, total = np.zeros((len(frame), len(classes))), np.zeros(len(frame))
    for n, text in enumerate(frame["votes"]):
        for emotion, share in (json.loads(text) if text else {}).items():
            total[n] += share
            k = place.get(mapping.get(emotion, ""))
            if k is not None:
                shares[n, k] += share
    return shares, total
