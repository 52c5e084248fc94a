"""The configuration of training: a frozen dataclass, stored as given; unknown keys are errors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ser.errors import ConfigError
from ser.registry import unknown
from ser.train.adapt import _base as adapt
from ser.train.heads._base import options_of, plugin, require_embedding
from ser.train.loop.optimisation import cycle_ends
from ser.train.losses import _base as losses

SOURCE = ("UA", "WA", "loss", "last")  # selections by source validation, see `ser.train.loop.validation`
# Selections for a target corpus, see `ser.train.loop.target_selection`, and how a record describes them.
TARGET = {
    "entropy": "mutual information of the predictions on the unlabelled target (highest)",
    "iwv": "importance-weighted source validation loss (lowest)",
    "dev": "deep embedded validation (lowest)",
    "oracle": "ORACLE: UA on labels of the target",
}
LOWEST = ("iwv", "dev")
SCHEDULES = ("constant", "linear", "cosine", "one-cycle")
CYCLES = {"schedule": "cycles", "selection": "last", "patience": 0}  # what a snapshot ensemble is trained with
SELECTIONS = (*SOURCE, *TARGET)
AVERAGES = ("none", "swa", "ema")
FREEZES = ("none", "encoder")
PRECISIONS = ("float32", "bfloat16")
CONTEXTS = ("utterance", "dialogue")


@dataclass(frozen=True)
class Config:
    """How a head is trained.

    Attributes:
        head: plugin name.
        head_options: the head's own options.
        loss: plugin name, or a sum such as `cross_entropy,cb_focal:0.3`.
        epochs: at most so many.
        batch_size: utterances a step.
        lr: highest learning rate of AdamW.
        weight_decay: decoupled.
        schedule: `constant`; `linear` and `cosine` (linear warm-up over 10 % of the steps, then to 0); `one-cycle` (Smith
            2018: up over 30 %, down to 0); `cycles`, of a snapshot ensemble only.
        patience: epochs without a better validation score after which a run stops; 0 never stops early.
        selection: the validation score that picks the epoch (`UA`, `WA`, `loss`), or `last`; with a target corpus also
            `entropy`, `iwv`, `dev` and `oracle`, see `ser.train.loop.target_selection`.
        class_weights: `balanced` (N / (K n_c)) or `none`.
        label_smoothing: in [0, 1).
        clip: largest gradient norm of a run; 0 does not clip.
        context: what a head sees at once, an `utterance` or the turns of a `dialogue`, see `ser.train.loop.dialogues`;
            a batch is then so many dialogues.
        precision: of the forward pass in training, `float32` or `bfloat16` (autocast); weights, losses and predictions are
            float32.
        average: of weights, `none`, `swa` or `ema`; see `ser.train.loop.averaging`.
        snapshots: heads of one run, each the end of a cosine cycle, whose probabilities are averaged (Huang et al., ICLR
            2017); 1 is an ordinary run.
        mixup, time_masks, band_masks, feature_noise, modality_dropout: augmentation of training batches, see
            `ser.train.loop.augmentation`; masks are written `2x30`: two, of at most 30 frames or bands; 0 or "" is off.
        adapt: a method that aligns the features of an unlabelled target corpus, or `none`; see `ser.train.adapt._base`.
        adapt_weight: lambda, by which the gradient of the method's loss is multiplied on its way into the head.
        adapt_ramp: lambda's schedule, `constant` or `dann`; "" for the method's own.
        freeze: `encoder` trains only what comes after the embedding of given weights, see `ser.train.loop.freezing`; or `none`.
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
    context: str = "utterance"
    precision: str = "float32"
    average: str = "none"
    snapshots: int = 1
    mixup: float = 0.0
    time_masks: str = ""
    band_masks: str = ""
    feature_noise: float = 0.0
    modality_dropout: float = 0.0
    adapt: str = "none"
    adapt_weight: float = 1.0
    adapt_ramp: str = ""
    freeze: str = "none"

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
    chosen = {k: v for k, v in given.items() if v is not None}
    cycles = CYCLES if chosen.get("snapshots", 1) != 1 else {}
    defaults = {**getattr(plugin(head), "DEFAULTS", {}), **cycles, "head": head}
    config = replace(Config(), **{name: _typed(name, value) for name, value in {**defaults, **chosen}.items()})
    options = _head_options(head, dict(config.head_options))
    ramp = adapt.check(config.adapt, config.adapt_weight, config.adapt_ramp)
    config = replace(config, head_options=options, loss=losses.canonical(config.loss), adapt_ramp=ramp)
    _check(config)
    _check_snapshots(config)
    _check_transfer(config)
    losses.check(config.loss, head, mixup=config.mixup > 0)
    return config


def _head_options(head: str, given: dict[str, Any]) -> dict[str, Any]:
    """All of a head's options, resolved: a later change of a default does not change a stored configuration."""
    known = options_of(head)
    for name, value in given.items():
        if name not in known:
            raise unknown(f"option of head {head}:", name, sorted(known))
        fits, expected = _fits(name, known[name], value)
        if not fits:
            raise ConfigError(f"option {name} of head {head}", expected=expected, found=repr(value))
    return {**known, **{n: float(v) if isinstance(known[n], float) else v for n, v in given.items()}}


def _typed(name: str, value: Any) -> Any:
    """A value of the type of the option's default, so that the same settings are written in the same way.

    Raises:
        ConfigError: it is of another.
    """
    default = getattr(Config(), name)
    kinds = {float: (int, float), int: (int,), str: (str,)}.get(type(default))
    if kinds is None:
        return value
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = {float: "a number", int: "a whole number", str: "a word"}[type(default)]
        raise ConfigError(f"{name} = {value!r}", expected=expected)
    return float(value) if isinstance(default, float) else value


def _fits(name: str, default: Any, value: Any) -> tuple[bool, str]:
    """Whether a value is of the kind of an option's default and in its range, and what is expected."""
    if isinstance(default, bool):
        return isinstance(value, bool), "true or false"
    if isinstance(value, bool):
        return False, f"a value such as {default}"
    if isinstance(default, str):
        words = "numbers such as " if default[:1].isdigit() else "a word such as "
        return isinstance(value, (str, int)), words + default
    if "dropout" in name:
        return isinstance(value, (int, float)) and 0 <= value < 1, "0 or more and below 1"
    if isinstance(default, float):
        return isinstance(value, (int, float)) and 0 < value < float("inf"), "a number above 0"
    return isinstance(value, int) and value >= 1, "a whole number, 1 or more"


def masks(text: str) -> tuple[int, int]:
    """How many masks, and the widest: `2x30` -> `(2, 30)`; an empty text is none.

    Raises:
        ConfigError: anything else.
    """
    if not text:
        return 0, 0
    number, times, width = str(text).partition("x")
    if not (times and number.isdecimal() and width.isdecimal() and int(number) and int(width)):
        raise ConfigError(f"masks {text}", expected="a number and a width, such as 2x30")
    return int(number), int(width)


def _check(config: Config) -> None:
    ranges: list[tuple[str, bool, str]] = [
        ("epochs", config.epochs >= 1, "1 or more"),
        ("batch_size", config.batch_size >= 1, "1 or more"),
        ("lr", config.lr > 0, "above 0"),
        ("weight_decay", config.weight_decay >= 0, "0 or more"),
        ("patience", config.patience >= 0, "0 (never stop early) or more"),
        ("label_smoothing", 0 <= config.label_smoothing < 1, "0 or more and below 1"),
        ("clip", config.clip >= 0, "0 (do not clip) or more"),
        ("schedule", config.schedule in (*SCHEDULES, "cycles"), f"one of {', '.join(SCHEDULES)}"),
        ("selection", config.selection in SELECTIONS, f"one of {', '.join(SELECTIONS)}"),
        ("class_weights", config.class_weights in ("balanced", "none"), "balanced or none"),
        ("context", config.context in CONTEXTS, f"one of {', '.join(CONTEXTS)}"),
        ("precision", config.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        ("average", config.average in AVERAGES, f"one of {', '.join(AVERAGES)}"),
        ("snapshots", config.snapshots >= 1, "1 or more"),
        ("mixup", 0 <= config.mixup < float("inf"), "0 (off) or more"),
        ("feature_noise", 0 <= config.feature_noise < float("inf"), "0 (off) or more"),
        ("modality_dropout", 0 <= config.modality_dropout < 1, "0 (off) or more and below 1"),
        ("freeze", config.freeze in FREEZES, f"one of {', '.join(FREEZES)}"),
    ]
    for name, fits, expected in ranges:
        if not fits:
            raise ConfigError(f"{name} = {getattr(config, name)}", expected=expected)
    masks(config.time_masks)
    masks(config.band_masks)
    if config.context == "dialogue":
        for name in ("mixup", "time_masks", "band_masks"):
            if getattr(config, name):
                raise ConfigError(f"{name} with context dialogue", action=f"Leave {name} out.")
        if any(losses.term(name).reads_embedding for name in losses.parse(config.loss)):
            raise ConfigError(f"loss {config.loss} with context dialogue", expected="losses on logits alone")


def _check_snapshots(config: Config) -> None:
    """A snapshot ensemble goes with its own schedule, takes the end of each cycle, and averages no weights."""
    if config.snapshots == 1:
        if config.schedule == "cycles":
            raise ConfigError("schedule cycles is that of a snapshot ensemble", action="Add --snapshots 5.")
        return
    cycle_ends(config.epochs, config.snapshots)
    for name, needed in {**CYCLES, "average": "none"}.items():
        if getattr(config, name) != needed:
            raise ConfigError(
                f"{name} = {getattr(config, name)} with snapshots",
                expected=needed,
                action=f"Leave --{name} out, or --snapshots.",
            )


def _check_transfer(config: Config) -> None:
    """What reads embeddings needs a head that has them; utterances of two corpora are not mixed, nor are dialogues aligned."""
    adapts, freezes = config.adapt != adapt.NONE, config.freeze != "none"
    readers = {
        f"adapt {config.adapt}": adapts,
        f"freeze {config.freeze}": freezes,
        "selection dev": config.selection == "dev",
    }
    for reader, asked in readers.items():
        if asked:
            require_embedding(config.head, reader)
    if config.context == "dialogue":
        for reader, asked in {**readers, f"selection {config.selection}": config.selection in TARGET}.items():
            if asked:
                raise ConfigError(f"{reader} with context dialogue", expected="context utterance")
    if adapts and config.mixup:
        raise ConfigError(f"adapt {config.adapt} with mixup, which would mix the corpora", action="Leave --mixup out.")
    if adapts and freezes:
        raise ConfigError(f"adapt {config.adapt} with freeze {config.freeze}: nothing is left to adapt")
