"""The configuration of training: a frozen dataclass, stored as given; unknown keys are errors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ser.errors import ConfigError
from ser.registry import unknown
from ser.train.head import options_of, plugin

SCHEDULES = ("constant", "cosine", "one-cycle")
SELECTIONS = ("UA", "WA", "loss", "last")


@dataclass(frozen=True)
class Config:
    """How a head is trained.

    Attributes:
        head: plugin name.
        head_options: the head's own options.
        loss: plugin name.
        epochs: at most so many.
        batch_size: utterances a step.
        lr: highest learning rate of AdamW.
        weight_decay: decoupled.
        schedule: `constant`; `cosine` (linear warm-up over 10 % of the steps, then cosine to 0); `one-cycle` (Smith 2018:
            up over 30 %, down to 0).
        patience: epochs without a better validation score after which a run stops; 0 never stops early.
        selection: the validation score that picks the epoch (`UA`, `WA`, `loss`), or `last`.
        class_weights: `balanced` (N / (K n_c)) or `none`.
        label_smoothing: in [0, 1).
        clip: largest gradient norm of a run; 0 does not clip.
    """

    head: str = "mlp"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "cross_entropy"
    epochs: int = 60
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    patience: int = 15
    selection: str = "UA"
    class_weights: str = "balanced"
    label_smoothing: float = 0.1
    clip: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "head_options": dict(self.head_options)}


def make_config(head: str, **given: Any) -> Config:
    """The head's own defaults, beaten by what is given (None is not given).

    Raises:
        ConfigError: an unknown key, or a value outside of its range.
    """
    known = {f.name for f in fields(Config)}
    strange = sorted(set(given) - known)
    if strange:
        raise unknown("training option", strange[0], sorted(known))
    defaults = {**getattr(plugin(head), "DEFAULTS", {}), "head": head}
    config = replace(Config(), **{**defaults, **{k: v for k, v in given.items() if v is not None}})
    config = replace(config, head_options=_head_options(head, dict(config.head_options)))
    _check(config)
    return config


def _head_options(head: str, given: dict[str, Any]) -> dict[str, Any]:
    """All of a head's options, resolved: a later change of a default does not change a stored configuration."""
    known = options_of(head)
    for name, value in given.items():
        if name not in known:
            raise unknown(f"option of head {head}:", name, sorted(known))
        default = known[name]
        kinds = (int, float) if isinstance(default, float) else (str, int) if isinstance(default, str) else (int,)
        low, high = (0, 1) if "dropout" in name else (1, float("inf"))
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if fits and not isinstance(value, str):
            fits = low <= value < high
        if not fits:
            numbers = "0 or more and below 1" if "dropout" in name else "1 or more"
            expected = "numbers such as 512,256" if isinstance(default, str) else numbers
            raise ConfigError(f"option {name} of head {head}", expected=expected, found=repr(value))
    return {**known, **given}


def _check(config: Config) -> None:
    ranges: list[tuple[str, bool, str]] = [
        ("epochs", config.epochs >= 1, "1 or more"),
        ("batch_size", config.batch_size >= 1, "1 or more"),
        ("lr", config.lr > 0, "above 0"),
        ("weight_decay", config.weight_decay >= 0, "0 or more"),
        ("patience", config.patience >= 0, "0 (never stop early) or more"),
        ("label_smoothing", 0 <= config.label_smoothing < 1, "0 or more and below 1"),
        ("clip", config.clip >= 0, "0 (do not clip) or more"),
        ("schedule", config.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
        ("selection", config.selection in SELECTIONS, f"one of {', '.join(SELECTIONS)}"),
        ("class_weights", config.class_weights in ("balanced", "none"), "balanced or none"),
    ]
    for name, fits, expected in ranges:
        if not fits:
            raise ConfigError(f"{name} = {getattr(config, name)}", expected=expected)
