"""A classifier of scikit-learn on a dataset's tensors, with the interface of `ser.train.loop.learner.Learner`."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import empty

from ser.errors import ConfigError, TrainingError
from ser.features.blocks import Block
from ser.features.stores.bulk_reading import batches
from ser.features.tensors import Tensors
from ser.metadata.targets import DIMENSIONS
from ser.train.classical.classifier import Classical, estimator
from ser.train.loop.data import Account, Trained
from ser.workers.threads import one_thread

Rows = NDArray[np.int64]


@dataclass(eq=False)
class Fitted(Trained):
    """One run's outcome: the fitted estimator takes the place of weights."""

    estimator: Any = None


class ClassicalLearner:
    """One configuration over one dataset's (normalised) tensors.

    Args:
        data: the tensors; framewise features are averaged over their frames, stored layers over the layers, and the
            stores are concatenated: `(utterances, features)` in double precision.
        config: the classifier and its options.

    Raises:
        ConfigError: the features are word ids, whose average means nothing.
    """

    def __init__(self, data: Tensors, config: Classical) -> None:
        self.data, self.config = data, config
        refuse_words(data.blocks, config.head)
        refuse_views(data, config.head)
        self.values = pooled(data.blocks)

    def train(
        self,
        rows: Rows,
        validation: Rows,
        seeds: Sequence[int],
        start: list[Any] | None = None,
        *,
        unlabelled: Rows | None = None,
        oracle: Rows | None = None,
    ) -> list[list[Trained]]:
        """Fit one run per seed; where nothing is random and the rows are the same, once for all of them.

        Args:
            rows: training rows, `(m,)` or `(runs, m)`.
            validation: not used: nothing is chosen.
            start: refused: scikit-learn's classifiers are not fine-tuned.
            unlabelled, oracle: refused: they are not adapted, and no epoch is chosen.

        Raises:
            TrainingError: there are fewer than two classes, or scikit-learn refuses the data.
        """
        if start is not None:
            raise ConfigError(f"{self.config.head} cannot be fine-tuned", action="Leave --source out.")
        if unlabelled is not None or oracle is not None:
            raise ConfigError(f"{self.config.head} cannot be adapted to a target", action="Take a neural head: mlp.")
        if rows.ndim == 1 and not self.config.random:
            return [self._share(rows, seeds)]
        each = rows if rows.ndim == 2 else np.broadcast_to(rows, (len(seeds), len(rows)))
        return [[self._fit(r, s) for r, s in zip(each, seeds, strict=True)]]

    def retrain(
        self,
        rows: Rows,
        seeds: Sequence[int],
        epochs: int | list[list[int]],
        start: list[Any] | None = None,
        *,
        unlabelled: Rows | None = None,
    ) -> list[list[Trained]]:
        """Fit again on other rows: nothing was chosen, so nothing is carried over."""
        return self.train(rows, np.arange(0), seeds, start, unlabelled=unlabelled)

    def weights(self, parts: list[list[Trained]]) -> list[Any]:
        """The fitted estimators, one per run; None of a run that diverged."""
        return [t.estimator for t in parts[0] if isinstance(t, Fitted)]

    def predict(self, weights: list[Any], rows: Rows) -> NDArray[np.float64]:
        """Probabilities `(runs, len(rows), classes)`; a class that was not in training has 0. NaN of a run that diverged."""
        found: dict[int, NDArray[np.float64]] = {}
        for fitted in weights:
            if id(fitted) not in found:
                found[id(fitted)] = self._answers(fitted, self.values[rows])
        return np.stack([found[id(fitted)] for fitted in weights])

    def validated(self, parts: list[list[Trained]], rows: Rows) -> NDArray[np.float64]:
        """`predict` by the fitted estimators."""
        return self.predict(self.weights(parts), rows)

    def _answers(self, fitted: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, or of dimensions values on the scale of the ratings, `(n, K)`; NaN of a run that diverged."""
        if fitted is None:
            return np.full((len(values), len(self.data.classes)), np.nan)
        found = shares_of(fitted, self.config, values, len(self.data.classes))
        return found if self.data.unit is None else np.asarray(found * self.data.unit[1] + self.data.unit[0])

    def merge(self, parts: list[list[Trained]]) -> list[Trained]:
        return parts[0]

    def account(self, trained: Trained, refitted: bool) -> Account:
        """The account of the fit in a run's record."""
        again = ", then fitted again on training and validation" if refitted else ""
        return {"selection": f"nothing is chosen{again}", "probabilities": self.config.probabilities}

    def layer_weights(self, parts: Sequence[Trained]) -> dict[str, list[float]]:
        """Nothing: classifiers of scikit-learn see the plain mean of stored layers."""
        return {}

    def _share(self, rows: Rows, seeds: Sequence[int]) -> list[Trained]:
        one = self._fit(rows, seeds[0])
        seconds = one.seconds / len(seeds)
        return [replace(one, notes=list(one.notes), seconds=seconds) for _ in seeds]

    def _fit(self, rows: Rows, seed: int) -> Fitted:
        from sklearn.utils.class_weight import compute_sample_weight

        x = self.values[rows]
        y: NDArray[Any] = self.data.labels[rows]
        if self.data.unit is not None and self.data.values is not None:
            y = self.data.values[rows]
        elif len(np.unique(y)) < 2:
            raise TrainingError("the training part has fewer than two classes", action="Take more data or another scheme.")
        made = estimator(self.config, seed)
        weights = {"sample_weight": compute_sample_weight("balanced", y)} if self.config.balance == "sample_weight" else {}
        try:
            notes, seconds = fit_alone(made, self.config.head, x, y, **weights)
        except TrainingError as error:
            if "non-finite" not in error.problem:  # an option that no run can be fitted with
                raise
            return Fitted(empty(0), error=error)
        return Fitted(empty(0), notes=notes, seconds=seconds, estimator=made)


def shares_of(fitted: Any, config: Classical, values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Probabilities `(n, count)` by a fitted classifier; a class that was not in training has 0. Of dimensions their values.

    Args:
        values: pooled features, `(n, D)`.
        count: the number of classes, or of dimensions.

    Raises:
        ConfigError: the classifier scores pairs of classes, or there are regressors of other dimensions.
    """
    from scipy.special import softmax

    if config.target == DIMENSIONS:
        with one_thread():
            found = np.asarray(fitted.predict(values), dtype=np.float64).reshape(len(values), -1)
        if found.shape[1] != count:
            raise ConfigError(f"{config.head} is of {found.shape[1]} dimensions", expected=f"of {count}")
        return found
    classes = [int(c) for c in fitted.classes_]
    with one_thread():
        if config.probabilities == "predict_proba":
            shares = np.asarray(fitted.predict_proba(values), dtype=np.float64)
        else:
            scores = np.asarray(fitted.decision_function(values), dtype=np.float64)
            if scores.ndim == 1:  # of the second of two classes: the softmax is then the logistic function
                scores = np.stack([np.zeros_like(scores), scores], axis=1)
            if scores.shape[1] != len(classes):
                raise ConfigError(f"{config.head} scores pairs of classes", expected="decision_function_shape=ovr")
            shares = softmax(scores, axis=1)
    full = np.zeros((len(values), count))
    full[:, classes] = shares
    return full


def fit_alone(made: Any, name: str, x: NDArray[np.float64], y: NDArray[Any], **weights: Any) -> tuple[list[str], float]:
    """Fit an estimator of scikit-learn on one thread; return its warnings, and seconds.

    Args:
        name: of the head or method, for messages.

    Raises:
        TrainingError: scikit-learn refuses the data or the options.
    """
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, one_thread():
        warnings.simplefilter("always")
        try:
            made.fit(x, y, **weights)
        except (ValueError, TypeError) as error:
            raise TrainingError(f"{name}: {_line(error)}") from None
    return sorted({f"{w.category.__name__}: {_line(w.message)}" for w in caught}), time.perf_counter() - begin


def _line(message: object) -> str:
    """The first paragraph of a message of scikit-learn, in one line."""
    return " ".join(str(message).split("\n\n")[0].split())[:200]


def refuse_views(data: Tensors, head: str) -> None:
    """Refuse augmented views by a ConfigError."""
    if data.views is not None:
        raise ConfigError(
            f"{head} has no epochs, in each of which it could draw among views",
            action="Leave --views out, or take a neural head, such as --head linear.",
            option="views",
        )


def refuse_words(blocks: Sequence[Block], head: str) -> None:
    """Refuse word ids by a ConfigError."""
    for block in blocks:
        if block.vocabulary:
            raise ConfigError(
                f"{head} cannot take the word ids of {block.name}: their average means nothing",
                expected="vectors: other --text features, such as bert",
                action="Or leave the text out: --modalities audio.",
            )


def pooled(blocks: Sequence[Block]) -> NDArray[np.float64]:
    """The stores' features as one vector per utterance, `(n, sum of D)`."""
    return np.concatenate([vectors(b) for b in blocks], axis=1)


def vectors(block: Block) -> NDArray[np.float64]:
    """A store's features as one vector per utterance, `(n, D)`."""
    lengths = np.ones(len(block.values), np.int64) if block.offsets is None else np.diff(block.offsets)
    if not lengths.all():
        raise TrainingError(f"{block.name}: an utterance has no frames", expected="one or more")
    sizes = lengths * 8 * block.dim * block.layers
    return np.concatenate([_vectors(block, np.arange(*part), lengths[slice(*part)]) for part in batches(sizes)])


def _vectors(block: Block, utterances: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    values = block.rows(utterances)
    if block.framewise:
        sums = np.add.reduceat(values, np.cumsum(lengths) - lengths, axis=0, dtype=np.float64)
        return np.asarray(sums / lengths[:, None])
    values = values.astype(np.float64)
    return np.asarray(values.mean(axis=1) if values.ndim == 3 else values)
