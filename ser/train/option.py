"""Options as fields of dataclasses: each is stated once, for Python, its help and the command line; and checks of values.

`ser.train.runs.options.FitOptions` has those of experiments, `ser.train.loop.config.Config` those of training.
"""

import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from ser.errors import ConfigError
from ser.registry import unknown, words


def option(
    default: Any,
    text: str,
    *,
    unset: str = "",
    choices: Sequence[str] = (),
    internal: Sequence[str] = (),
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    form: tuple[str, str] | None = None,
    flag: str = "",
    metavar: str = "",
) -> Any:
    """One option as a field of a dataclass.

    Args:
        text: its description, in a sentence.
        unset: the value in words where the option is not given, if that is not `default`.
        choices: the allowed words; and `internal`, those that commands set by themselves.
        least, above, below: bounds of a number: the smallest, and two that it may not reach.
        form: a regular expression that a text must match, and the same in words.
        flag: its name on the command line, where that is not the field's; "-" where it has none.
        metavar: its form on the command line.
    """
    bounds = {"least": least, "above": above, "below": below}
    words = {"text": text, "unset": unset, "choices": tuple(choices), "internal": tuple(internal)}
    metadata = {**words, **bounds, "form": form, "flag": flag, "metavar": metavar}
    return field(default=default, metadata=metadata)


def is_option(field: Field[Any]) -> bool:
    """True for a field that `option` made."""
    return "unset" in field.metadata


def flag(field: Field[Any]) -> str:
    """The option's name on the command line, without dashes."""
    return str(field.metadata["flag"] or field.name.replace("_", "-"))


def described(field: Field[Any]) -> str:
    """The option's text, its choices, and its value where it is not given."""
    choices = field.metadata["choices"]
    words = [field.metadata["text"]]
    words += [f"One of {', '.join(choices)}."] if choices else []
    words += [f"None: {field.metadata['unset']}."] if field.metadata["unset"] else []
    return " ".join(words)


def check_value(field: Field[Any], value: Any) -> None:
    """Refuse a value that is not among an option's choices or is out of its bounds, by a ConfigError."""
    choices = (*field.metadata["choices"], *field.metadata["internal"])
    if choices and value not in choices:
        raise unknown(field.name, str(value), field.metadata["choices"])
    form = field.metadata["form"]
    if form is not None and isinstance(value, str) and not re.fullmatch(form[0], value):
        raise ConfigError(f"{field.name} = {value!r}", expected=form[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    least, above, below = (field.metadata[bound] for bound in ("least", "above", "below"))
    fits = math.isfinite(value) and (least is None or value >= least)
    if not (fits and (above is None or value > above) and (below is None or value < below)):
        bounds = [f"{least:g} or more"] if least is not None else []
        bounds += [f"above {above:g}"] if above is not None else []
        bounds += [f"below {below:g}"] if below is not None else []
        raise ConfigError(f"{field.name} = {value}", expected=" and ".join(bounds) or "a finite number")


def check_numbers(name: str, value: Any) -> tuple[float, ...]:
    """Check numbers, one or an iterable of them; whole ones stay whole.

    >>> check_numbers("shots", 5), check_numbers("weights", [0.1, 1])
    ((5,), (0.1, 1))
    """
    each = value if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
    found: list[float] = []
    for one in each:
        try:
            found.append(check_whole(name, one))
        except ConfigError:
            found.append(check_number(name, one))
    return tuple(found)


def check_whole(name: str, value: Any) -> int:
    """Check a whole number, NumPy's too; a ConfigError for anything else."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise ConfigError(f"{name} = {value!r}", expected="a whole number")


def check_number(name: str, value: Any) -> float:
    """Check a number, NumPy's too; a ConfigError for anything else."""
    if not isinstance(value, (bool, str, bytes)):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    raise ConfigError(f"{name} = {value!r}", expected="a number")


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # NumPy's, which is not imported for it
        return bool(value)
    raise ConfigError(f"{name} = {value!r}", expected="True or False")


def _path(name: str, value: Any) -> Path:
    if isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise ConfigError(f"{name} = {value!r}", expected="a path")


def _text(name: str, value: Any) -> str:
    if isinstance(value, (str, os.PathLike)) or type(value).__name__ == "device":  # torch's, which is not imported for it
        return str(value)
    try:
        return str(check_whole(name, value))  # scheme=4
    except ConfigError:
        raise ConfigError(f"{name} = {value!r}", expected="a word") from None


def _folds(name: str, value: Any) -> Any:
    from ser.metadata.folds.fold import FoldOptions

    return value if isinstance(value, FoldOptions) else check_whole(name, value)


_CONVERTERS: dict[Any, Callable[[str, Any], Any]] = {
    str: _text,
    int: check_whole,
    float: check_number,
    bool: _truth,
    Path: _path,
    tuple[str, ...]: words,
    "int | FoldOptions | None": _folds,
}


def converted(option: Any, given: Any) -> Any:
    """Convert a value of an option to the type of its field; it must be one of its choices and within its range."""
    kind = next((t for t in get_args(option.type) if t is not NoneType), option.type)
    value = _CONVERTERS[kind](option.name, given)
    if option.metadata["choices"]:
        for word in value if isinstance(value, tuple) else [value]:
            if word not in option.metadata["choices"]:
                raise unknown(option.name, str(word), option.metadata["choices"])
    else:
        check_value(option, value)
    return value
