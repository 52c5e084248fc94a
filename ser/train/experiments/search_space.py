"""Settings of a hyperparameter search: the words of `--grid` and `--random` as a list of settings. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ser.errors import ConfigError
from ser.registry import unknown
from ser.train.loop.config import Config
from ser.train.option import is_option

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(:log)?")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, drawn uniformly or uniformly in their logarithm; whole if both ends are written whole."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def rvs(self, random_state: Any = None) -> float:
        """Draw one number; scikit-learn's ParameterSampler calls this."""
        from scipy.stats import loguniform, uniform

        law = loguniform(self.low, self.high) if self.log else uniform(self.low, self.high - self.low)
        value = float(law.rvs(random_state=random_state))
        return round(value) if self.whole else value


Values = Range | Sequence[Any]


def parse_grid(words: Iterable[str]) -> dict[str, Values]:
    """Read `lr=1e-3,1e-4` and `head.hidden=[512,256],128` as lists, `lr=1e-4:1e-2:log` as a range, by key.

    Raises:
        ConfigError: a word is not `KEY=VALUES`, a key is given twice, or a range is empty.

    >>> parse_grid(["lr=1e-3,1e-4", "head.hidden=[512,256],128"])
    {'lr': [0.001, 0.0001], 'head.hidden': ['512,256', 128]}
    """
    found: dict[str, Values] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals and text):
            raise ConfigError(f"--grid {word}", expected="KEY=VALUE,VALUE or KEY=LOW:HIGH or KEY=LOW:HIGH:log")
        if key in found:
            raise ConfigError(f"--grid {key} is given twice")
        between = _RANGE.fullmatch(text)
        found[key] = _range(word, *between.groups()) if between else _values(text)
    return found


def settings(grid: Mapping[str, Values | str], random: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """All combinations of the values, or `random` draws of them (scikit-learn's ParameterGrid and ParameterSampler).

    Args:
        grid: lists of values, or ranges, by training option; options of the head as `head.NAME`.
        seed: of the draws.

    Raises:
        ConfigError: nothing to try, or a range without `random`.

    >>> settings({"lr": [1, 2], "head.hidden": [8]})
    [{'head.hidden': 8, 'lr': 1}, {'head.hidden': 8, 'lr': 2}]
    """
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    space = {k: parse_grid([f"{k}={v}"])[k] if isinstance(v, str) else v for k, v in grid.items()}
    if not space:
        raise ConfigError("there is nothing to search", expected="--grid KEY=VALUES, as --grid lr=1e-3,1e-4")
    ranges = [k for k, v in space.items() if isinstance(v, Range)]
    empty = [k for k, v in space.items() if not isinstance(v, Range) and not len(v)]
    if empty:
        raise ConfigError(f"--grid {empty[0]} has no values", expected="one or more, as --grid lr=1e-3,1e-4")
    if random is None:
        if ranges:
            raise ConfigError(f"--grid {ranges[0]} is a range", action="Say how many settings to draw: --random 20.")
        drawn = list(ParameterGrid(space))
    else:
        number = random if ranges else min(random, len(ParameterGrid(space)))
        drawn = list(ParameterSampler(space, number, random_state=seed))
    return [{k: _plain(v) for k, v in setting.items()} for setting in drawn]


def training_of(setting: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Training options of one setting on top of those given.

    Raises:
        ConfigError: a key that a search has not, such as that of another command; an option is given and searched.
    """
    searched = ["head", *(f.name for f in fields(Config) if is_option(f))]
    options = dict(given.get("head_options") or {})
    training = {k: v for k, v in given.items() if k != "head_options" and v is not None}
    for key, value in setting.items():
        place, name = (options, key[5:]) if key.startswith("head.") else (training, key.replace("-", "_"))
        if place is training and name not in searched:
            raise unknown("option of a search", key, [*searched, "head.OPTION"])
        if name in place:
            raise ConfigError(f"{key} is given and searched", action=f"Leave one of them out: --grid {key}=...")
        place[name] = value
    return {**training, "head_options": options or None}


def scalar(text: str) -> Any:
    """A number, true, false or None where a text looks like one, else the text; `none` is a word (of `class_weights`).

    >>> [scalar(t) for t in ("8", "1e-3", "true", "None", "none")]
    [8, 0.001, True, None, 'none']
    """
    words = {"true": True, "True": True, "false": False, "False": False, "None": None, "null": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _values(text: str) -> list[Any]:
    parts = re.findall(r"\[[^\]]*\]|[^,]+", text)
    return [p[1:-1].replace(" ", "") if p.startswith("[") else scalar(p.strip()) for p in parts]


def _range(word: str, low: str, high: str, log: str | None) -> Range:
    found = Range(float(low), float(high), log is not None, bool(re.fullmatch(r"\d+", low) and re.fullmatch(r"\d+", high)))
    if not found.low < found.high or (found.log and found.low <= 0):
        raise ConfigError(f"--grid {word}", expected="LOW below HIGH" + (", both above 0" if found.log else ""))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
