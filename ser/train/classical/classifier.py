"""Classifiers of scikit-learn as heads: `sklearn:SVC`, `sklearn:LogisticRegression`, any of them by its class name.

They see pooled features and give the classical line that a neural head has to beat, under the same protocols, normalisation
and records. (Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 2011; BSD-3-Clause.)
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, ClassVar

from ser.errors import ConfigError
from ser.metadata.targets import DIMENSIONS, EMOTION, in_words
from ser.registry import unknown

PREFIX = "sklearn:"
SUMMARY = (
    "any classifier of scikit-learn by its class name, as sklearn:LogisticRegression or sklearn:SVC; of dimensions any "
    "regressor, as sklearn:Ridge or sklearn:SVR; pooled features"
)
# Where an estimator has a random_state that these options leave unused, all runs are equal and are trained once.
_EXACT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "LogisticRegression": lambda o: o["solver"] not in ("liblinear", "sag", "saga"),
    "LinearSVC": lambda o: o["dual"] is False,
    "NuSVC": lambda o: o.get("probability") is not True,
    "RidgeClassifier": lambda o: o["solver"] not in ("auto", "sag", "saga"),
    "SVC": lambda o: o.get("probability") is not True,
}


@dataclass(frozen=True)
class Classical:
    """The configuration of a classifier of scikit-learn, as `ser.train.loop.config.Config` is of a neural head.

    Attributes:
        head: `sklearn:` and the class's name.
        head_options: parameters of the class that are given; the others have scikit-learn's defaults.
        class_weights: `balanced` or `none`.
        balance: the way of balancing classes: `class_weight`, `sample_weight`, or `none` where the class takes neither.
        probabilities: `predict_proba`, or `softmax of decision_function` where the class has no probabilities.
        scikit_learn: its version, whose defaults are part of the configuration.
        target: the kind of target: `emotion`, or `dimensions`, which regressors learn.
    """

    head: str
    head_options: Mapping[str, Any] = field(default_factory=dict)
    class_weights: str = "balanced"
    balance: str = "none"
    probabilities: str = "predict_proba"
    scikit_learn: str = ""
    target: str = EMOTION
    context: ClassVar[str] = "utterance"

    def as_dict(self) -> dict[str, Any]:
        """All options; the target where it is not one class, as `ser.train.loop.config.Config.as_dict`."""
        found = {**asdict(self), "head_options": dict(self.head_options)}
        return {name: value for name, value in found.items() if name != "target" or value != EMOTION}

    @property
    def random(self) -> bool:
        """True if runs differ: the fit draws something at random."""
        options = class_of(self.head, self.target)(**self.head_options).get_params(deep=False)
        rule = _EXACT.get(self.head.removeprefix(PREFIX))
        return "random_state" in options and not (rule is not None and rule(options))

    def stamps(self, sampled: bool = False) -> list[str]:
        """Stamps: sentences that a reader of the numbers must know.

        Args:
            sampled: training rows are drawn at random, so that runs differ all the same.
        """
        found = [] if self.random or sampled else [f"{self.head} draws nothing at random: all runs are equal"]
        if self.target == DIMENSIONS:
            return found
        if self.class_weights == "balanced" and self.balance == "none":
            found.append(f"{self.head} takes neither class nor sample weights: classes are not balanced")
        if self.probabilities != "predict_proba":
            found.append(f"{self.head} has no probabilities: they are the {self.probabilities}, not calibrated")
        return found


def is_classical(head: str) -> bool:
    """True if a head's name is that of a classifier of scikit-learn."""
    return head.startswith(PREFIX)


def neural_only(head: str) -> ConfigError:
    """The error where a classical head would have to have layers or gradients."""
    return ConfigError(
        f"{head} has neither layers nor gradients to look at",
        expected="a neural head, such as --head linear",
        action="Use the probabilities of a classical head: ser predict, and ser evaluate with --calibrate, --tta, --novelty."
        " Where it is on several modalities, --explain gives the contribution of each.",
    )


def make_classical(head: str, **given: Any) -> Classical:
    """Make the configuration of a classifier of scikit-learn (None counts as not given).

    Raises:
        ConfigError: there is no such classifier, or it is built of others; a training option is given, which would mean
            nothing; an option that the class does not have, or a random_state, which is the run's, is given.
    """
    import sklearn
    from sklearn.utils.validation import has_fit_parameter

    target = str(given.pop("target", None) or EMOTION)
    kind = class_of(head, target)
    known = {"head_options", "class_weights"} if target == EMOTION else {"head_options"}
    strange = sorted(n for n, v in given.items() if n not in known and not (v is None or v is False or v == ()))
    if strange:
        raise ConfigError(
            f"{', '.join('--' + n.replace('_', '-') for n in strange)} means nothing to head {head}",
            expected="--class-weights, and options of its own: --head-option C=0.1"
            if target == EMOTION
            else "options of its own: --head-option alpha=0.1",
            option=strange[0],
        )
    options = {k: _value(v) for k, v in (given.get("head_options") or {}).items()}
    _check_options(head, kind, options)
    if target == DIMENSIONS:
        return Classical(head, options, "none", "none", "the values that it predicts", str(sklearn.__version__), target)
    weights = given.get("class_weights") or "balanced"
    if weights not in ("balanced", "none"):
        raise ConfigError(f"class_weights = {weights}", expected="balanced or none")
    made = kind(**options)
    balance = "none"
    if weights == "balanced" and options.get("class_weight") is None:
        if "class_weight" in made.get_params(deep=False):
            balance = "class_weight"
        elif has_fit_parameter(made, "sample_weight"):
            balance = "sample_weight"
    if options.get("class_weight") is not None:
        balance = "class_weight"
    scores = "predict_proba" if hasattr(made, "predict_proba") else "softmax of decision_function"
    if not hasattr(made, "predict_proba") and not hasattr(made, "decision_function"):
        raise ConfigError(f"{head} scores no classes", expected="predict_proba or decision_function")
    return Classical(head, options, weights, balance, scores, str(sklearn.__version__))


def estimator(config: Classical, seed: int) -> Any:
    """The unfitted classifier, or the regressor of all dimensions, of one run."""
    made = class_of(config.head, config.target)(**config.head_options)
    options = made.get_params(deep=False)
    if config.balance == "class_weight" and options.get("class_weight") is None:
        made.set_params(class_weight="balanced")
    if "random_state" in options:
        made.set_params(random_state=seed % 2**32)
    if config.target == DIMENSIONS:
        from sklearn.multioutput import MultiOutputRegressor

        return MultiOutputRegressor(made)
    return made


def estimator_kind(target: str) -> str:
    """The name of scikit-learn for what learns a kind of target."""
    return "regressor" if target == DIMENSIONS else "classifier"


@cache
def _classes(kind: str) -> dict[str, Any]:
    """Classifiers, or regressors, of scikit-learn by name."""
    from sklearn.utils import all_estimators

    return dict(all_estimators(type_filter=kind))


def class_of(head: str, target: str = EMOTION) -> Any:
    """The class of a classical head.

    Raises:
        ConfigError: there is no such classifier (regressor, for dimensions), it is built of others, or nothing of scikit-learn
            learns this target here.
    """
    if target not in (EMOTION, DIMENSIONS):
        raise ConfigError(
            f"{head} does not learn {in_words(target)}",
            expected="--target emotion or dimensions, or a neural head such as --head linear",
        )
    name, kind_name = head.removeprefix(PREFIX), estimator_kind(target)
    known = _classes(kind_name)
    if name not in known:
        near = get_close_matches(name.lower(), {n.lower(): n for n in known}, n=3, cutoff=0.5)
        names = [n for low in near for n in known if n.lower() == low]
        examples = ("LogisticRegression, SVC or RandomForestClassifier", "Ridge, SVR or RandomForestRegressor")
        raise ConfigError(
            f"unknown head {head!r}: scikit-learn has no {kind_name} {name!r}",
            expected=f"the name of a class such as {examples[target == DIMENSIONS]}",
            action=f"Did you mean {' or '.join(repr(PREFIX + n) for n in names)}?" if names else None,
        )
    kind = known[name]
    try:
        kind()
    except TypeError:
        raise ConfigError(f"{head} is made of other {kind_name}s", expected=f"a {kind_name} that stands by itself") from None
    return kind


def _check_options(head: str, kind: Any, options: dict[str, Any]) -> None:
    known = sorted(kind().get_params(deep=False))
    for name in options:
        if name not in known:
            raise unknown(f"option of head {head}:", name, known, f"head_options.{name}")
    if "random_state" in options:
        raise ConfigError(f"random_state of {head} is the run's own seed", action="Choose another --seed instead.")
    for name, value in options.items():
        try:
            kind(**{name: value})._validate_params()  # as `fit` begins
        except ValueError as error:
            choices = _choices(kind, name)
            near = get_close_matches(str(value), choices, n=1)
            raise ConfigError(
                f"option {name} of head {head}",
                expected=f"one of {', '.join(choices)}" if choices and isinstance(value, str) else _expected(str(error)),
                found=repr(value),
                action=f"Did you mean {near[0]!r}?" if near else None,
                option=f"head_options.{name}",
            ) from None


def _choices(kind: Any, name: str) -> list[str]:
    """The words that an option of an estimator can be."""
    constraints = getattr(kind, "_parameter_constraints", {}).get(name, [])
    return sorted({word for one in constraints for word in getattr(one, "options", ()) if isinstance(word, str)})


def _expected(message: str) -> str:
    """What an option must be, in scikit-learn's words: "The 'C' parameter of SVC must be a float ... Got -1 instead."."""
    return message.partition(" must be ")[2].rpartition(". Got ")[0] or message


def _value(value: Any) -> Any:
    """`100,50` -> `(100, 50)`, for options that are several numbers."""
    if not isinstance(value, str) or "," not in value:
        return value
    try:
        parts = [float(v) for v in value.split(",") if v.strip()]
    except ValueError:
        return value
    return tuple(int(p) if p.is_integer() else p for p in parts)
