"""The options of encoders, and how encoders read them: layers, the store's name, device, dtype."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.files import require_folder

DTYPES = ("float32", "bfloat16", "float16")
STATISTICS = "mean,std"  # pooling: mean and standard deviation of frames, or of tokens
PUBLISHED, EXACT = WINDOWS = ("published", "exact")


@dataclass(frozen=True)
class EncoderOptions:
    """A user's wishes for an encoder.

    Attributes:
        level: `utterance` or `frame`; None is the plugin's default.
        layers: `last`, `all`, or indices of hidden layers (0 is the input of the first).
        pooling: at utterance level `mean`, `mean,std` (the standard deviation beside it) or, of text, `cls`, `last` or
            `sentence`; None is the plugin's default.
        device: `cpu`, `cuda`, `cuda:1`, ...
        dtype: `float32`, `bfloat16`, `float16`: the type that the encoder computes in.
        weights: a folder that holds models (below their hub id or their last name), used before any cache or network.
        revision: a commit of the hub repository.
        batch_seconds: s of audio in a batch, padding included; 0 is one utterance at a time; None suits the device.
        window: `published`: audio is padded to the length that the model was trained with; `exact`: its own frames alone.
        announce: called with a sentence before a model is fetched over the network.
    """

    level: str | None = None
    layers: str | tuple[int, ...] = "last"
    pooling: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    weights: Path | None = None
    revision: str | None = None
    batch_seconds: float | None = None
    window: str = PUBLISHED
    announce: Callable[[str], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.weights is not None:
            require_folder(self.weights)


def at_revision(name: str, options: EncoderOptions) -> tuple[str, EncoderOptions]:
    """A model's name without the `@REVISION` at its end, and the options with it; a path has none."""
    short, _, revision = name.partition("@") if not Path(name).exists() else (name, "", "")
    return short, replace(options, revision=revision) if revision else options


def refuse_other_paths(name: str) -> None:
    """Refuse the name of a model that is a path at which there is no folder.

    Raises:
        ConfigError: it says what is there.
    """
    folder = Path(name).expanduser()
    if name.startswith((".", "~", "/")) or os.path.lexists(folder):
        require_folder(folder)


def chosen_layers(layers: str | tuple[int, ...], depth: int, level: str) -> list[int]:
    """The layers to keep, as indices from 0 to `depth`.

    Raises:
        ConfigError: a layer does not exist, or there are several at frame level.
    """
    if layers == "last":
        return [depth]
    if isinstance(layers, str):
        chosen = list(range(depth + 1))
        if layers != "all":
            raise ConfigError(f"--layers {layers}", expected="last, all, or numbers")
    else:
        chosen = list(layers)
    wrong = [layer for layer in chosen if not 0 <= layer <= depth]
    if wrong or not chosen:
        raise ConfigError(f"there is no layer {wrong[0] if wrong else chosen}", expected=f"0 to {depth}")
    if level == "frame" and len(chosen) > 1:
        raise ConfigError("frame level keeps one layer", expected="--layers last, or one number", found=layers)
    return chosen


def store_name(short: str, options: EncoderOptions, level: str, pooling: str = "mean") -> str:
    """The store's name: the short name, then what differs from the plugin's defaults.

    >>> store_name("wavlm-base", EncoderOptions(level="frame", layers=(6,)), "utterance")
    'wavlm-base.frame.layer-6'
    """
    parts = [short]
    if options.level not in (None, level):
        parts.append(str(options.level))
    if options.pooling not in (None, pooling):
        parts.append(options.pooling.replace(",", "-"))
    if options.window != PUBLISHED:
        parts.append(options.window)
    if options.layers == "all":
        parts.append("layers-all")
    elif options.layers != "last":
        numbers = "-".join(map(str, options.layers))
        parts.append(f"layer-{numbers}" if len(options.layers) == 1 else f"layers-{numbers}")
    return ".".join(parts)


def refuse_pooled_frames(options: EncoderOptions, name: str) -> None:
    """Refuse a pooling at frame level, where nothing is pooled.

    Raises:
        ConfigError: there is one.
    """
    if options.pooling is not None and options.level == "frame":
        raise ConfigError(f"{name}: --pooling {options.pooling} is for utterance level", expected="no --pooling")


def refuse_unused(options: EncoderOptions, name: str, **allowed: Sequence[Any]) -> None:
    """Refuse options that an encoder does not use, rather than ignore them.

    Args:
        allowed: option name -> what it may be besides its default.

    Raises:
        ConfigError: an option is something else; its `option` is set where the encoder has none such at all.
    """
    default = EncoderOptions()
    for key in ("layers", "pooling", "dtype", "window"):
        value = getattr(options, key)
        values = [getattr(default, key), *allowed.get(key, ())]
        if value not in values:
            known = ", ".join(str(v) for v in values if v is not None)
            given = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise ConfigError(
                f"{name}: --{key} {given}", expected=known or f"no --{key}: it has none", option="" if allowed.get(key) else key
            )


def torch_dtype(name: str) -> Any:
    """One of `DTYPES` as torch's."""
    import torch

    return getattr(torch, name)
