"""A head as a scikit-learn classifier over pooled features, for pipelines, grid searches and comparisons with its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.registry import names
from ser.train.classical.classifier import is_classical
from ser.train.heads._base import HEADS
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.nn import streams


class HeadClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head plugin with the interface of scikit-learn.

    Args:
        head: plugin name; one that takes pooled features.
        options: training options, fields of `ser.train.loop.config.Config`; None for the head's own.
        validation: share of the training utterances held out to pick the epoch; 0 takes the last epoch.
        seed: of initial weights, order, dropout and the held-out share.

    Attributes:
        classes_: labels in sorted order.
        n_features_in_: features per vector.
        weights_: of the chosen epoch, `(1, n)`.
    """

    def __init__(
        self, head: str = "mlp", options: dict[str, Any] | None = None, validation: float = 0.15, seed: int = 0
    ) -> None:
        self.head = head
        self.options = options
        self.validation = validation
        self.seed = seed

    def fit(self, X: Any, y: Any) -> "HeadClassifier":
        """Fit on features `(utterances, features)` and labels `(utterances,)`.

        Raises:
            ValueError: fewer than two classes, or values that are not finite.
            ConfigError: a head or an option that there is not.
            TrainingError: training diverged.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"HeadClassifier needs two classes or more; the labels have 1 class (of {len(y)} sample(s))")
        rows, held = np.arange(len(y)), np.arange(0)
        given = dict(self.options or {})
        if not self.validation:
            given |= {"selection": "last", "patience": 0}
        if is_classical(self.head):
            raise ConfigError(
                f"head {self.head} is an estimator of scikit-learn already",
                expected=f"one of {', '.join(names(HEADS))}",
                action="Take its class itself.",
            )
        self._config = make_config(self.head, **given)
        if self.validation:
            rows, held = train_test_split(rows, test_size=self.validation, stratify=labels, random_state=self.seed)
        resident = Resident([Block("features", "audio", np.ascontiguousarray(X))])
        data = Data(resident, labels.astype(np.int64), len(self.classes_), rows, held)
        (trained,) = train(data, self._config, [streams.derive(self.seed, "estimator")])
        if trained.error is not None:
            raise trained.error
        self.weights_ = trained.weights[None]
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Class probabilities, `(utterances, classes)`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        nothing = np.arange(0)
        resident = Resident([Block("features", "audio", np.ascontiguousarray(X))])
        data = Data(resident, np.zeros(len(X), dtype=np.int64), len(self.classes_), nothing, nothing)
        return np.asarray(predict(data, self._config, self.weights_, np.arange(len(X)))[0])

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each utterance."""
        shares = self.predict_proba(X)
        return np.asarray(self.classes_[shares.argmax(-1)])
