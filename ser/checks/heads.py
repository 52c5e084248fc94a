"""The promises of a head: the features that it states, padding without effect, runs that are themselves, learning."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch

from ser.checks import Promises, hold
from ser.features.blocks import Block
from ser.train.heads._base import build_head, is_stackable, options_of, part_of, takes
from ser.train.heads._base import pools_first as is_pooled_first
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.pooled_frames import FIXED, pooled_blocks
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train

CLASSES = 4
# Each kind of features that a head may take, and its blocks.
FEATURES = {
    "pooled": ("pooled",),
    "layers": ("layers",),
    "frames": ("frames",),
    "words": ("words",),
    "pooled+pooled": ("pooled", "other"),
    "frames+words": ("frames", "words"),
    "pooled+words": ("pooled", "words"),
    "three": ("pooled", "frames", "words"),
}
SMALL = {"hidden": 16, "feed": 64, "layers": 2, "blocks": 4}
EASY = ("frames+words", "pooled", "frames", "words", "layers")


@cache
def blocks() -> dict[str, Block]:
    """Features of 150 utterances in 4 classes; the labels are `numpy.arange(150) % 4`."""
    random = np.random.default_rng(0)
    y = np.arange(150) % CLASSES
    lengths = random.integers(2, 9, len(y))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    centres = random.normal(size=(CLASSES, 12))
    pooled = (centres[y] + random.normal(size=(len(y), 12))).astype(np.float32)
    frames = (centres[y].repeat(lengths, 0) + random.normal(size=(offsets[-1], 12))).astype(np.float32)
    words = (1 + 3 * y.repeat(lengths) + random.integers(0, 6, offsets[-1])).astype(np.int32)[:, None]
    return {
        "pooled": Block("pooled", "audio", pooled),
        "other": Block("other", "text", pooled[:, ::-1].copy()),
        "layers": Block("layers", "audio", np.stack([pooled, pooled * 0.1, -pooled], axis=1)),
        "frames": Block("frames", "audio", frames, offsets),
        "words": Block("words", "text", words, offsets, vocabulary=17),
    }


def example(kind: str = "pooled") -> Data:
    """Training data of one kind of features: 100 rows to train, 25 to validate, 25 left."""
    labels = np.arange(150) % CLASSES
    return Data(Resident([blocks()[b] for b in FEATURES[kind]]), labels, CLASSES, np.arange(100), np.arange(100, 125))


def taken(name: str) -> list[str]:
    """The kinds of `FEATURES` that a head takes."""
    return [kind for kind in FEATURES if takes(name).fits(example(kind).resident.inputs)]


def small(name: str) -> dict[str, int]:
    """Options that make a head small, where it has them: narrow, and few of the layers that are alike."""
    return {option: value for option, value in SMALL.items() if option in options_of(name)}


def promises(name: str) -> Promises:
    """The promises of a head; a late fusion makes those of its parts."""
    name = part_of(name)
    kinds = taken(name)
    sequences = [kind for kind in kinds if any(w not in ("pooled", "layers", "other") for w in FEATURES[kind])]
    vectors = [kind for kind in kinds if kind in ("pooled", "pooled+pooled", "layers")]

    def takes_some() -> None:
        hold(kinds, f"it takes none of {', '.join(FEATURES)}; it states {takes(name)}")

    found: Promises = {"it takes features of a kind that there is": takes_some}
    for kind in kinds:
        words = f"of {kind}: logits are (runs, batch, classes), and every parameter gets a gradient"
        found[words] = partial(has_logits_and_gradients, name, kind)
    for kind in sequences:
        found[f"of {kind}: padding beside longer utterances has no effect"] = partial(ignores_padding, name, kind)
    if is_pooled_first(name):
        found["of frames: it is the same head on vectors that are pooled before"] = partial(pools_first, name)
    for kind in vectors:
        if is_stackable(_built(name, kind)):
            found[f"of {kind}: a run is itself alone or among others"] = partial(runs_are_themselves, name, kind)
    easy = next((kind for kind in EASY if kind in kinds), None)
    if easy is not None:
        found[f"of {easy}: it learns what is easy"] = partial(learns, name, easy)
    return found


def has_logits_and_gradients(name: str, kind: str) -> None:
    """The logits of seven utterances have their shape, and each parameter a finite gradient."""
    head = _built(name, kind)
    logits = head(example(kind).resident.batch(torch.arange(7)[None]))
    hold(logits.shape == (1, 7, CLASSES), f"expected logits {(1, 7, CLASSES)}; found {tuple(logits.shape)}")
    logits.pow(2).sum().backward()
    for key, parameter in head.named_parameters():
        hold(parameter.grad is not None, f"parameter {key} gets no gradient")
        hold(bool(parameter.grad.isfinite().all()), f"the gradient of {key} is not finite")  # type: ignore[union-attr]


def ignores_padding(name: str, kind: str) -> None:
    """The shortest utterance has the same logits beside the longest."""
    resident, head = example(kind).resident, _built(name, kind)
    lengths = torch.stack([torch.diff(o) for o in resident.offsets.values()]).sum(0)
    short, long = int(lengths.argmin()), int(lengths.argmax())
    alone = head(resident.batch(torch.tensor([[short]])))
    beside = head(resident.batch(torch.tensor([[long, short]])))
    torch.testing.assert_close(beside[:, 1:], alone, rtol=1e-5, atol=1e-6)


def pools_first(name: str) -> None:
    """By every pooling without weights, logits of frames are those of the same weights on pooled frames, from the same seed."""
    for kind in FIXED:
        config = make_config(name, head_options={**small(name), "pooling": kind})
        frames = example("frames").resident
        pooled = Resident(pooled_blocks(config, [blocks()["frames"]]))
        hold(not pooled.framewise, f"frames are not pooled before training, with pooling={kind}")
        rows = torch.arange(150)[None]
        found = [
            build_head(name, inputs, CLASSES, dict(config.head_options), 0).eval()(batch)
            for inputs, batch in ((r.inputs, r.batch(rows)) for r in (frames, pooled))
        ]
        torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def runs_are_themselves(name: str, kind: str) -> None:
    """Bit for bit on a CPU, dropout on: run 3 of 5 is run 3 alone, and is run 3 in another slot.

    So too of seven classes and batches of nine, where a run's numbers do not begin at a multiple of a register's size.
    """
    for classes, batch_size in ((CLASSES, 32), (7, 9)):
        data = replace(example(kind), labels=np.arange(150) % classes, classes=classes)
        config = make_config(name, epochs=4, patience=2, batch_size=batch_size, head_options=small(name))
        five, alone, moved = (train(data, config, seeds) for seeds in ([11, 22, 33, 44, 55], [33], [33, 99]))
        for other in (alone[0], moved[0]):
            same = torch.equal(five[2].weights, other.weights) and five[2].curves == other.curves
            hold(
                same,
                f"of {classes} classes and batches of {batch_size} a run of five has other weights than the same run alone: "
                "a layer mixes runs, or draws for all at once, or multiplies matrices in another way than those of "
                "ser.train.nn.layers",
            )
        hold(not torch.equal(five[0].weights, five[1].weights), "two seeds give the same weights")


def learns(name: str, kind: str) -> None:
    """Fifteen epochs on well separated classes are enough for an accuracy above 0.8 on others of their utterances."""
    data = example(kind)
    config = make_config(name, epochs=15, lr=5e-3, head_options=small(name))
    (trained,) = train(data, config, [1])
    rows = np.arange(125, 150)
    right = float((predict(data, config, trained.weights[None], rows)[0].argmax(-1) == data.labels[rows]).mean())
    wanted = "an accuracy above 0.8 on four easy classes after 15 epochs at a learning rate of 0.005"
    hold(right > 0.8, f"expected {wanted}; found {right:.2f}")


def _built(name: str, kind: str) -> torch.nn.Module:
    return build_head(name, example(kind).resident.inputs, CLASSES, small(name), 0).eval()
