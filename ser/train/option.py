"""Options as fields of dataclasses: each is stated once, for Python, its help and the command line.

`ser.train.runs.options.FitOptions` has those of experiments, `ser.train.loop.config.Config` those of training.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import Field, field
from typing import Any

from ser.errors import ConfigError


def option(
    default: Any,
    text: str,
    *,
    unset: str = "",
    choices: Sequence[str] = (),
    internal: Sequence[str] = (),
    refused: tuple[str, str] | None = None,
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
        refused: a word that one might expect among them, and the reason why it is not.
        least, above, below: bounds of a number: the smallest, and two that it may not reach.
        form: a regular expression that a text must match, and the same in words.
        flag: its name on the command line, where that is not the field's; "-" where it has none.
        metavar: its form on the command line.
    """
    bounds = {"least": least, "above": above, "below": below}
    words = {"text": text, "unset": unset, "choices": tuple(choices), "internal": tuple(internal)}
    metadata = {**words, **bounds, "refused": refused, "form": form, "flag": flag, "metavar": metavar}
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
    """Refuse a value that is not among an option's choices or is out of its bounds.

    Raises:
        ConfigError: the value does not fit; the message says what is expected.
    """
    choices = (*field.metadata["choices"], *field.metadata["internal"])
    if choices and value not in choices:
        raise ConfigError(f"{field.name} = {value}", expected=f"one of {', '.join(field.metadata['choices'])}")
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
