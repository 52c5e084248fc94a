"""Decision trees in a classifier that lead nowhere: scikit-learn follows their node numbers without looking.

A tree of scikit-learn is an array of nodes that name their children and the feature they ask for. Prediction follows these
numbers without bounds (skops names this as its reason not to trust such types), so a damaged file could end the program or
let it run for ever. scikit-learn writes children behind their parent: where that holds, every path ends.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError

DEEPEST = 8  # levels of lists: a random forest has one, gradient boosting two


def check_trees(fitted: Any, columns: int, place: str) -> None:
    """Refuse trees whose nodes lead out of the tree or of the features.

    Args:
        fitted: a classifier or regressor of scikit-learn.
        columns: the number of features that it reads.
        place: its file, for the message.

    Raises:
        ConfigError: there is such a tree.
    """
    from sklearn.ensemble import BaggingClassifier, BaggingRegressor
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    if _depth(fitted) > DEEPEST:
        raise ConfigError(
            f"lists in {place} are nested more than {DEEPEST} levels deep",
            expected="a classifier as scikit-learn fits it",
            action="The file is damaged or forged; train it again: ser fit ... --save",
        )
    own = getattr(fitted, "estimators_features_", None)
    bags = (BaggingClassifier, BaggingRegressor)
    if isinstance(fitted, bags) and own is not None:  # each of its trees sees some of the features
        members = list(fitted.estimators_)
        good = len(members) == len(own)
        for member, features in zip(members, own, strict=False):
            check_trees(member, len(features), place)
        found: list[Any] = []
    else:
        found = list(_walk(fitted, set()))
        good = not any(isinstance(f, bags) for f in found)
    for part in found:
        if isinstance(part, Tree):
            good = good and _is_sound_tree(part, columns)
        elif isinstance(part, TreePredictor):
            good = good and _is_sound_predictor(part.nodes, columns)
    if not good:
        raise ConfigError(
            f"a decision tree in {place} leads out of its nodes or features",
            expected="a tree as scikit-learn grows it",
            action="The file is damaged or forged; train it again: ser fit ... --save",
        )


def _depth(fitted: Any) -> int:
    """The levels of lists and dicts that lie directly within each other, anywhere in a classifier; `DEEPEST` + 1 for more.

    NumPy would unfold them: thirty levels of a list that holds the next one twice are a thousand million numbers.
    """
    known: dict[int, int] = {}

    def deep(value: Any, left: int) -> int:
        if not isinstance(value, (dict, list, tuple, set)):
            return 0
        if left < 0:
            return 1
        if id(value) not in known:
            inside = value.values() if isinstance(value, dict) else value
            known[id(value)] = DEEPEST + 1  # of one that holds itself
            known[id(value)] = 1 + max((deep(part, left - 1) for part in inside), default=0)
        return known[id(value)]

    return max((deep(part, DEEPEST) for part in _walk(fitted, set())), default=0)


def _walk(value: Any, seen: set[int]) -> Iterator[Any]:
    """All objects that a classifier holds."""
    if id(value) in seen or isinstance(value, (str, bytes, int, float, bool, type(None))):
        return
    seen.add(id(value))
    yield value
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, (list, tuple, set)):
        inside = value
    elif isinstance(value, np.ndarray):
        inside = value.ravel() if value.dtype == object else ()
    elif hasattr(value, "__dict__"):
        inside = vars(value).values()
    for part in inside:
        yield from _walk(part, seen)


def _is_sound_tree(tree: Any, columns: int) -> bool:
    """A `sklearn.tree._tree.Tree`."""
    if tree.n_features != columns or not 0 < tree.node_count <= tree.capacity:
        return False
    left, right = tree.children_left, tree.children_right
    leaf = left == -1  # the one thing that scikit-learn looks at
    return _lead_on(left[~leaf], right[~leaf], tree.feature[~leaf], np.flatnonzero(~leaf), len(left), columns)


def _is_sound_predictor(nodes: NDArray[Any], columns: int) -> bool:
    """Nodes of a `TreePredictor`; of cached features none is a category."""
    if not len(nodes) or nodes["is_categorical"].any():
        return False
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    left, right = nodes["left"][inner], nodes["right"][inner]
    return _lead_on(left, right, nodes["feature_idx"][inner], inner, len(nodes), columns)


def _lead_on(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], node: NDArray[Any], count: int, columns: int
) -> bool:
    """True for children behind their parents and within the tree, and features that are there."""
    children = np.stack([left, right]).astype(np.int64)
    asked = feature.astype(np.int64)
    inside = (children > node).all() and (children < count).all()
    return bool(inside and (asked >= 0).all() and (asked < columns).all())
