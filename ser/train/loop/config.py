"""The configuration of training: a frozen dataclass, stored as given; unknown keys are errors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ser.errors import ConfigError
from ser.metadata.targets import EMOTION, in_words
from ser.metadata.targets import plugin as target_plugin
from ser.registry import unknown
from ser.train.option import check_value, is_option, option

# Importing torch takes seconds, and the command line reads the options below for its help: what needs it is imported in the
# functions.

SOURCE = ("UA", "WA", "CCC", "F1_macro", "loss", "last")  # selections by source validation, see `ser.train.loop.validation`
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
AVERAGES = ("none", "swa", "ema")
FREEZES = ("none", "encoder")
PRECISIONS = ("float32", "bfloat16")
CONTEXTS = ("utterance", "dialogue")
MASKS = "a number and a width, such as 2x30"


@dataclass(frozen=True)
class Config:
    """The configuration of a training. Where an option is not given, the head's own default holds, or else the one here."""

    head: str = "mlp"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    loss: str = option(
        "cross_entropy",
        "A loss or a sum of several, such as cross_entropy,cb_focal:0.3; see ser losses.",
        unset="the target's, cross_entropy for classes",
    )
    epochs: int = option(60, "Maximum number of epochs.", unset="the head's", least=1, below=1e6)
    batch_size: int = option(
        32, "Utterances per step; dialogues with --context dialogue.", unset="the head's, 32 for most", least=1, below=1e9
    )
    lr: float = option(1e-3, "Peak learning rate of AdamW.", unset="the head's", above=0)
    weight_decay: float = option(0.01, "Decoupled weight decay of AdamW.", least=0)
    schedule: str = option(
        "one-cycle",
        "Course of the learning rate: linear and cosine rise over the first tenth of the steps, one-cycle over 30 %.",
        unset="the head's, one-cycle for most",
        choices=SCHEDULES,
        internal=["cycles"],  # of a snapshot ensemble
    )
    patience: int = option(15, "Stop a run after this many epochs without a better validation score; 0: never.", least=0)
    selection: str = option(
        "UA",
        "Validation score that picks the epoch, or last for the last epoch; CCC is for dimensions, F1_macro for labels.",
        unset="the target's, UA for classes",
        choices=SOURCE,
        internal=tuple(TARGET),
    )
    class_weights: str = option("balanced", "Class weights in the loss.", choices=("balanced", "none"))
    label_smoothing: float = option(0.1, "Amount of label smoothing.", least=0, below=1)
    clip: float = option(1.0, "Maximum norm of a run's gradient; 0: no clipping.", least=0)
    context: str = option("utterance", "What a head sees at once: one utterance, or all turns of a dialogue.", choices=CONTEXTS)
    precision: str = option("float32", "Precision of the forward pass in training; bfloat16 uses autocast.", choices=PRECISIONS)
    average: str = option(
        "none", "Average weights: over the last quarter of the epochs (swa), or over all steps (ema).", choices=AVERAGES
    )
    snapshots: int = option(
        1, "Heads per run, one from the end of each cosine cycle, whose probabilities are averaged.", least=1
    )
    mixup: float = option(0.0, "Mix pairs of training utterances in proportions from Beta(ALPHA, ALPHA); 0: off.", least=0,
                          metavar="ALPHA")  # fmt: skip
    time_masks: str = option("", "SpecAugment: N masks of up to FRAMES frames, such as 2x30.", unset="off", metavar="NxFRAMES")
    band_masks: str = option("", "SpecAugment: N masks of up to BANDS bands, such as 2x8.", unset="off", metavar="NxBANDS")
    feature_noise: float = option(
        0.0, "Gaussian noise added to training features, in units of their standard deviation; 0: off.", least=0
    )
    modality_dropout: float = option(0.0, "Share of training utterances that lose one modality; 0: off.", least=0, below=1)
    adapt: str = "none"  # the method that aligns the features of an unlabelled target corpus, see `ser.train.adapt._base`
    adapt_weight: float = 1.0  # lambda, which multiplies the gradient of the method's loss on its way into the head
    adapt_ramp: str = ""  # lambda's schedule, `constant` or `dann`; "" for the method's own
    target: str = EMOTION  # the kind of target, see `ser.metadata.targets`
    freeze: str = "none"  # `encoder` trains only what comes after the embedding, see `ser.train.loop.freezing`

    def as_dict(self) -> dict[str, Any]:
        """All options; the target where it is not one class: it came later, and names of experiments are to stay."""
        found = {**asdict(self), "head_options": dict(self.head_options)}
        return {name: value for name, value in found.items() if name != "target" or value != EMOTION}


def make_config(head: str, **given: Any) -> Config:
    """Make a configuration of the head's own defaults and the options that are given, which come first (None is not given).

    Raises:
        ConfigError: an unknown key, or a value outside of its range.
    """
    from ser.train.adapt._base import check_adaptation as check_adaptation
    from ser.train.heads._base import plugin
    from ser.train.losses._base import canonical_losses, parse, term
    from ser.train.losses._base import check_losses as check_loss

    known = {f.name for f in fields(Config)}
    strange = sorted(set(given) - known)
    if strange:
        raise unknown("training option", strange[0], sorted(known))
    chosen = {k: v for k, v in given.items() if v is not None}
    cycles = CYCLES if chosen.get("snapshots", 1) != 1 else {}
    own = target_plugin(chosen.get("target", EMOTION))
    asked = chosen.get("loss", own.LOSS)
    losses = parse(asked) if isinstance(asked, str) else {}  # one of another type is refused below
    by = f"a head that learns {in_words(chosen['target'])}" if own.UNUSED else f"--loss {','.join(losses)}"
    without = (
        own.UNUSED
        if own.UNUSED or not losses or not all(term(n).refuses_weights for n in losses)
        else ("class_weights", "label_smoothing")
    )
    unused = {n: v for n, v in {"class_weights": "none", "label_smoothing": 0.0}.items() if n in without}
    for name in unused:
        if chosen.get(name, unused[name]) != unused[name]:
            typed = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{typed} means nothing to {by}", action=f"Leave {typed} out.", option=name)
    of_target = {"loss": own.LOSS, "selection": own.SELECTION, **unused}
    defaults = {**of_target, **getattr(plugin(head), "DEFAULTS", {}), **cycles, "head": head}
    config = replace(Config(), **{name: _typed(name, value) for name, value in {**defaults, **chosen}.items()})
    if not isinstance(config.head_options, Mapping):
        raise ConfigError(f"head_options = {config.head_options!r}"[:80], expected="options of the head by name")
    options = _head_options(head, dict(config.head_options))
    ramp = check_adaptation(config.adapt, config.adapt_weight, config.adapt_ramp)
    config = replace(config, head_options=options, loss=canonical_losses(config.loss), adapt_ramp=ramp)
    _check(config)
    _check_snapshots(config)
    _check_transfer(config)
    check_loss(config.loss, head, mixup=config.mixup > 0, target=config.target)
    _check_target(config, own.SELECTIONS, getattr(plugin(head), "TARGETS", None))
    return config


def _check_target(config: Config, selections: tuple[str, ...], learned: tuple[str, ...] | None) -> None:
    """Refuse what has no meaning for the kind of target: another's score, a head or a method of classes."""
    if learned is not None and config.target not in learned:
        raise ConfigError(
            f"head {config.head} does not learn {in_words(config.target)}", expected=f"one of {', '.join(learned)}"
        )
    if config.selection not in (*selections, *(TARGET if config.target == EMOTION else ())):
        raise ConfigError(
            f"selection by {config.selection} means nothing to a head that learns {in_words(config.target)}",
            expected=f"one of {', '.join(selections)}",
            option="selection",
        )
    if config.batch_size < 2 and "ccc" in config.loss:
        raise ConfigError("loss ccc of one utterance has no gradient", expected="--batch-size 2 or more", option="batch_size")
    if config.adapt != "none":
        from ser.train.adapt._base import method

        fitting = method(config.adapt).targets
        if fitting and config.target not in fitting:
            raise ConfigError(
                f"adaptation method {config.adapt} does not learn {in_words(config.target)}", expected=" or ".join(fitting)
            )


def _head_options(head: str, given: dict[str, Any]) -> dict[str, Any]:
    """All of a head's options, resolved: a later change of a default does not change a stored configuration."""
    from ser.train.heads._base import LATER, options_of

    known = options_of(head)
    for name, value in given.items():
        if name not in known:
            raise unknown(f"option of head {head}:", name, sorted(known), f"head_options.{name}")
        fits, expected = _fits(name, known[name], value)
        if not fits:
            raise ConfigError(f"option {name} of head {head}", expected=expected, found=repr(value))
    found = {**known, **{n: float(v) if isinstance(known[n], float) else v for n, v in given.items()}}
    return {n: v for n, v in found.items() if n not in LATER or v != known[n]}


def _typed(name: str, value: Any) -> Any:
    """A value of the type of the option's default, so that the same settings are written in the same way.

    Raises:
        ConfigError: it is of another type.
    """
    default = getattr(Config(), name)
    kinds = {float: (int, float), int: (int,), str: (str,)}.get(type(default))
    if kinds is None:
        return value
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = {float: "a number", int: "a whole number", str: MASKS if name.endswith("_masks") else "a word"}[
            type(default)
        ]
        raise ConfigError(f"{name} = {value!r}", expected=expected)
    return float(value) if isinstance(default, float) else value


def _fits(name: str, default: Any, value: Any) -> tuple[bool, str]:
    """True for a value of the kind of an option's default and in its range; and the expected kind in words."""
    if isinstance(default, bool):
        return isinstance(value, bool), "true or false"
    if isinstance(value, bool):
        return False, f"a value such as {default}"
    if isinstance(default, str) and default[:1].isdigit():
        return isinstance(value, (str, int)) and _are_sizes(value), f"numbers of 1 or more such as {default}"
    if isinstance(default, str):
        return isinstance(value, (str, int)), "a word such as " + default
    if "dropout" in name:
        return isinstance(value, (int, float)) and 0 <= value < 1, "0 or more and below 1"
    if isinstance(default, float):
        return isinstance(value, (int, float)) and 0 < value < float("inf"), "a number above 0"
    return isinstance(value, int) and value >= 1, "a whole number, 1 or more"


def _are_sizes(value: str | int) -> bool:
    from ser.train.heads._base import sizes

    try:
        return all(size >= 1 for size in sizes(value))
    except ConfigError:
        return False


def masks(text: str) -> tuple[int, int]:
    """The number of masks, and the widest: `2x30` -> `(2, 30)`; an empty text is none.

    Raises:
        ConfigError: the text is of another form.
    """
    if not text:
        return 0, 0
    number, times, width = str(text).partition("x")
    digits = number.isdecimal() and width.isdecimal() and len(number) + len(width) < 10
    if not (times and digits and int(number) and int(width)):
        raise ConfigError(f"masks {text}", expected=MASKS)
    return int(number), int(width)


def check_option(name: str, value: Any) -> None:
    """Refuse a value of an option that is wrong whatever the others are.

    Raises:
        ConfigError: it is of another type, out of its range, or names what is not there.
    """
    from ser.train.losses._base import parse

    check_value(next(f for f in fields(Config) if f.name == name), _typed(name, value))
    if name == "loss":
        parse(value)
    if name in ("time_masks", "band_masks"):
        masks(value)


def _check(config: Config) -> None:
    from ser.train.losses._base import parse, term

    for one in filter(is_option, fields(config)):
        check_option(one.name, getattr(config, one.name))
    if config.freeze not in FREEZES:
        raise ConfigError(f"freeze = {config.freeze}", expected=f"one of {', '.join(FREEZES)}")
    if config.context == "dialogue":
        for name in ("mixup", "time_masks", "band_masks"):
            if getattr(config, name):
                raise ConfigError(f"{name} with context dialogue", action=f"Leave {name} out.", option=name)
        if any(term(name).reads_embedding for name in parse(config.loss)):
            raise ConfigError(f"loss {config.loss} with context dialogue", expected="losses on logits alone")


def _check_snapshots(config: Config) -> None:
    """A snapshot ensemble goes with its own schedule, takes the end of each cycle, and averages no weights."""
    if config.snapshots == 1:
        if config.schedule == "cycles":
            raise ConfigError("schedule cycles is that of a snapshot ensemble", action="Add --snapshots 5.")
        return
    from ser.train.loop.optimisation import cycle_ends

    cycle_ends(config.epochs, config.snapshots)
    for name, needed in {**CYCLES, "average": "none"}.items():
        if getattr(config, name) != needed:
            raise ConfigError(
                f"{name} = {getattr(config, name)} with snapshots",
                expected=needed,
                action=f"Leave --{name} out, or --snapshots.",
                option=name,
            )


def _check_transfer(config: Config) -> None:
    """Refuse readers of embeddings with a head that has none, the mixing of two corpora, and the alignment of dialogues."""
    from ser.train.adapt._base import NONE
    from ser.train.heads._base import require_embedding

    adapts, freezes = config.adapt != NONE, config.freeze != "none"
    readers = {f"adapt {config.adapt}": adapts, f"freeze {config.freeze}": freezes, "selection dev": config.selection == "dev"}
    for reader, asked in readers.items():
        if asked:
            require_embedding(config.head, reader)
    if config.context == "dialogue":
        for reader, asked in {**readers, f"selection {config.selection}": config.selection in TARGET}.items():
            if asked:
                raise ConfigError(f"{reader} with context dialogue", expected="context utterance")
    if adapts and config.mixup:
        raise ConfigError(
            f"adapt {config.adapt} with mixup, which would mix the corpora", action="Leave --mixup out.", option="mixup"
        )
    if adapts and freezes:
        raise ConfigError(f"adapt {config.adapt} with freeze {config.freeze}: nothing is left to adapt")
