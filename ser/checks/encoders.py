"""The promises of an encoder: its facts, features that do not depend on the batch, and an identity."""

import json
import re
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser import registry
from ser.checks import Promises, hold
from ser.extract.encoder import ENCODERS, Encoder, load
from ser.extract.options import EncoderOptions

TEXTS = ["i am so happy today !", "sad", "so sad .", "happy happy", "i am to ."]


def promises(name: str) -> Promises:
    """The promises of an encoder; one with weights is tried on the tiny model of its `example(folder)`."""
    found: Promises = {"its facts are there": partial(states_facts, name)}
    plugin = registry.load(ENCODERS, name)
    if plugin.CHECKPOINTS and not hasattr(plugin, "example"):
        return found  # which has said so
    for level in plugin.LEVELS:
        found[f"{level}: features are finite, of its dimension, and the same beside others"] = partial(_try, name, level)
    return found


def states_facts(name: str) -> None:
    """The constants of the file."""
    plugin = registry.load(ENCODERS, name)
    hold(plugin.MODALITY in ("audio", "text"), f"MODALITY; expected audio or text; found {plugin.MODALITY!r}")
    hold(plugin.SOURCE and plugin.LICENCE, "expected SOURCE and LICENCE")
    hold(plugin.LEVELS, "expected a level")
    hold(set(plugin.LEVELS) <= {"utterance", "frame"}, f"LEVELS; expected utterance, frame; found {plugin.LEVELS}")
    hold(getattr(plugin, "LAYERS", "last") in ("all", "last"), "LAYERS; expected all or last")
    if plugin.CHECKPOINTS:
        hold(hasattr(plugin, "example"), "expected example(folder), which writes a tiny model: it has CHECKPOINTS")
    else:
        hold(plugin.DIM, "expected DIM, as it has no CHECKPOINTS")


def inputs(encoder: Encoder) -> list[Any]:
    """Texts, or a few recordings like speech; the first is the shortest that the encoder takes."""
    if encoder.modality == "text":
        return TEXTS
    generator = np.random.default_rng(0)
    lengths = [encoder.minimum, encoder.sample_rate // 2, encoder.minimum + 500]
    return [_speechlike(n, encoder.sample_rate, generator) for n in lengths]


def _speechlike(samples: int, rate: int, generator: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 9))
    return np.asarray(0.1 * voice + generator.normal(0, 0.01, samples), dtype=np.float32)


def _try(name: str, level: str) -> None:
    with TemporaryDirectory() as folder:
        keeps_promises(_loaded(name, Path(folder), level=level), level)


def _loaded(name: str, folder: Path, **options: Any) -> Encoder:
    plugin = registry.load(ENCODERS, name)
    tiny = folder / f"tiny-{re.sub('[^a-z0-9]', '-', name.lower())}"
    made = str(plugin.example(tiny)) if hasattr(plugin, "example") else name
    encoder = load(made, plugin.MODALITY, EncoderOptions(**options))
    encoder.prepare(TEXTS, {})
    return encoder


def keeps_promises(encoder: Encoder, level: str) -> None:
    """Types, shapes, numbers; the same twice, alone, beside others, and in another order."""
    given = inputs(encoder)
    hold(encoder.level == level, f"level; expected {level}; found {encoder.level}")
    hold(re.fullmatch(r"[\w.-]+", encoder.name), f"name; expected letters, digits, -, _ and .; found {encoder.name!r}")
    hold(json.loads(json.dumps(encoder.identity)) == encoder.identity, "the identity is not what JSON gives back")
    together = encoder.encode(given)
    alone = [encoder.encode([one])[0] for one in given]
    wanted, axes = np.int32 if encoder.vocabulary else np.float32, 1 if level == "utterance" else 2
    for features, single in zip(together, alone, strict=True):
        hold(features.dtype == wanted, f"expected {np.dtype(wanted)}; found {features.dtype}")
        shape = f"expected {axes} axes, the last of {encoder.dim}; found the shape {features.shape}"
        hold(features.ndim == axes and features.shape[-1] == encoder.dim and features.shape[0] >= 1, shape)
        hold(np.isfinite(features).all(), "a value is not finite")
        _alike(features, single, "beside others than alone")
    for features, again in zip(together, encoder.encode(given), strict=True):
        hold(features.tobytes() == again.tobytes(), "the same audio has other features the second time")
    for features, backwards in zip(together, encoder.encode(given[::-1])[::-1], strict=True):
        _alike(features, backwards, "in another order")


def _alike(left: NDArray[Any], right: NDArray[Any], where: str) -> None:
    hold(left.shape == right.shape, f"features have another shape {where}: {left.shape} and {right.shape}")
    distance = np.linalg.norm(left.astype(float) - right) / max(np.linalg.norm(right.astype(float)), 1e-12)
    hold(distance <= 1e-5, f"features are others {where}; expected a distance of 1e-5 at most; found {distance:.2g}")
