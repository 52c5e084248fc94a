"""A fitted classifier or regressor of scikit-learn as bytes, and back, without pickle: the format of skops.

skops (Hugging Face and the scikit-learn developers; MIT) writes a zip of JSON and NumPy arrays, and lists the types in such a
file before it makes any object. It knows those of scikit-learn's public classes, NumPy and SciPy; `TRUSTED` are the other ones
that scikit-learn's own estimators are made of. Every other type is refused before any object is made.
"""

import io
import math
import warnings
from contextlib import suppress
from copy import copy
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, SerError, TrainingError, UnusableError
from ser.metadata.targets import DIMENSIONS
from ser.train.classical.classifier import PREFIX, Classical, class_of, estimator
from ser.train.classical.learner import fit_alone
from ser.train.classical.treecheck import check_trees

TRUSTED = (
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",  # see treecheck
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",  # see treecheck
)
MOST_UNPACKED = 2**26  # bytes that a classifier may have whatever its file's size
MOST_RATIO = 100  # and beyond it, times the file's size
SMALL = {"n_estimators": 5, "max_iter": 50}  # at most, in the trial of `check_savable`


def pack(fitted: Any, head: str) -> bytes:
    """Write a fitted classifier as a file of skops.

    Raises:
        ConfigError: it holds parts that could not be read back.
    """
    from skops import io as skops

    fitted = _without_indices(fitted)
    try:
        content: bytes = skops.dumps(fitted, compression=ZIP_DEFLATED)
        strange = _strange(content)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"--save: {head} cannot be saved", found=error, action="Leave --save out.") from None
    if strange:
        raise ConfigError(
            f"--save: {head} cannot be saved",
            expected="parts that can be read back safely",
            found=", ".join(strange),
            action="Leave --save out, or choose other options of the head.",
        )
    return content


def check_savable(config: Classical) -> None:
    """Fit a small classifier and pack it, so that one that cannot be saved is refused before the training.

    Raises:
        ConfigError: see `pack`.
    """
    y: NDArray[Any] = np.arange(60) % 3
    x = np.random.default_rng(0).normal(size=(len(y), 4)) + y[:, None]
    trial = estimator(config, 0)
    own = trial
    if config.target == DIMENSIONS:
        y, own = x[:, :2], trial.estimator
    for name, most in SMALL.items():
        if isinstance(size := own.get_params(deep=False).get(name), int) and size > most:
            own.set_params(**{name: most})
    with suppress(TrainingError):  # options for more data than this: then only the training can tell
        fit_alone(trial, config.head, x, y)
        pack(trial, config.head)


def unpack(content: bytes, config: Classical, columns: int, place: str) -> tuple[Any, tuple[str, ...]]:
    """Read a fitted classifier, or a regressor of each dimension, and notes for its user.

    Args:
        content: a file of skops.
        config: its configuration by the head's header.
        columns: the number of features that it will read.
        place: the head's file, for messages.

    Raises:
        ConfigError: the file holds types that no classifier of scikit-learn has, is damaged, is of another class, or has trees
            that lead nowhere.
    """
    import sklearn
    from sklearn.exceptions import InconsistentVersionWarning
    from skops import io as skops

    try:
        _check_sizes(content, len(content))
        strange = _strange(content)
        if not strange:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                fitted = skops.loads(content, trusted=list(TRUSTED))
            members = _members(fitted, config)
            for member in members:
                check_trees(member, columns, place)
                _index(member)
    except SerError:
        raise
    except Exception as error:  # of skops, zipfile, json, NumPy and scikit-learn: damage shows in many ways
        raise unusable_classifier(
            f"cannot read the classifier in {place}",
            f"a {config.head} of scikit-learn {config.scikit_learn}; this is {sklearn.__version__}",
            error,
        ) from None
    if strange:
        raise UnusableError(
            f"{place} holds types that no classifier of scikit-learn is made of: nothing was loaded",
            expected=f"types of scikit-learn {sklearn.__version__}, NumPy and SciPy; its header says scikit-learn"
            f" {config.scikit_learn}",
            found=", ".join(strange),
            action="Do not use the file. If you made it yourself, with another scikit-learn: take that one, or train it again.",
        )
    if not members:
        raise UnusableError(f"{place} does not hold what it says", expected=config.head, found=PREFIX + type(fitted).__name__)
    versions = {str(w.message.original_sklearn_version) for w in caught if isinstance(w.message, InconsistentVersionWarning)}
    return fitted, tuple(
        f"{config.head} was saved by scikit-learn {version}, and this is {sklearn.__version__}: it may not say the same; "
        f"train it again, or install scikit-learn {version}"
        for version in sorted(versions)
    )


def _check_sizes(content: bytes, size: int) -> None:
    """Refuse an archive that declares more than a file of this size may hold, before anything is unpacked.

    Raises:
        ValueError: it declares too much, which is named; other errors of a damaged archive are raised as they are.
    """
    most = max(MOST_UNPACKED, MOST_RATIO * size)
    with ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        declared = sum(entry.file_size for entry in entries)
        if declared > most:
            raise ValueError(f"it declares {declared} bytes in {size}: {most} are read at most")
        for entry in entries:
            if entry.filename.endswith(".npy"):
                with archive.open(entry) as file:
                    _check_array(file, entry.file_size)
            elif entry.filename.endswith(".npz"):  # a sparse matrix
                _check_sizes(archive.read(entry), size)


def _check_array(file: IO[bytes], size: int) -> None:
    """Compare the shape that an array declares with the bytes it has, `size` with its header."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    declared = math.prod(shape) * dtype.itemsize
    if declared > size:
        raise ValueError(f"an array of {shape} numbers declares {declared} bytes and has {size}")


def unusable_classifier(problem: str, expected: str, error: Exception) -> ConfigError:
    """The error of a saved classifier that scikit-learn fails on, which it does in many ways."""
    return UnusableError(
        problem,
        expected=expected,
        found=f"{type(error).__name__}: {error}"[:200].rstrip("."),
        action="Train it again: ser fit ... --save",
    )


def _strange(content: bytes) -> list[str]:
    """Types of a file that are not to be trusted."""
    from skops import io as skops

    return sorted(set(skops.get_untrusted_types(data=content)) - set(TRUSTED))


def _members(fitted: Any, config: Classical) -> list[Any]:
    """The estimators of the class that a configuration names: one, or one for each dimension; [] where it is another."""
    from sklearn.multioutput import MultiOutputRegressor

    kind = class_of(config.head, config.target)
    if config.target != DIMENSIONS:
        return [fitted] if type(fitted) is kind else []
    members = list(fitted.estimators_) if type(fitted) is MultiOutputRegressor else []
    return members if all(type(member) is kind for member in members) else []


def _without_indices(fitted: Any) -> Any:
    """The same, but without the trees in which neighbours are found, which are not saved."""
    own = getattr(fitted, "estimators_", None)
    if type(fitted).__name__ == "MultiOutputRegressor" and any(map(_has_index, own or ())):
        fitted = copy(fitted)
        fitted.estimators_ = [_without_indices(member) for member in own or ()]
    elif _has_index(fitted):
        fitted = copy(fitted)
        fitted._tree = None
    return fitted


def _has_index(fitted: Any) -> bool:
    """True for a classifier that finds neighbours in a tree over the training utterances, which itself is not saved."""
    return getattr(fitted, "_fit_method", None) in ("kd_tree", "ball_tree")


def _index(fitted: Any) -> None:
    """Build the tree over the training utterances again, as `fit` did."""
    if _has_index(fitted):
        from sklearn.neighbors import BallTree, KDTree

        kind = KDTree if fitted._fit_method == "kd_tree" else BallTree
        options = fitted.effective_metric_params_
        fitted._tree = kind(fitted._fit_X, fitted.leaf_size, metric=fitted.effective_metric_, **options)
