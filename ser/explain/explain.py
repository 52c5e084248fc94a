"""Explain the heads of an experiment: layers and modalities over all of them, activation and attention on examples."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.explain import pictures
from ser.explain.inside import attention_maps, class_activation
from ser.explain.modalities import DRAWS, Contributions, contributions
from ser.explain.opened_head import OpenedHead, open_head, word_pieces_of
from ser.features.blocks import Block
from ser.features.tensors import Tensors
from ser.jsonfile import write_json
from ser.results.plotting.style import save
from ser.results.records.explanations import (
    Attention,
    Contribution,
    ExplainedHead,
    ExplainedUtterance,
    Explanations,
    LayerWeights,
    Modalities,
)
from ser.train.checkpoint import SavedHead, load_head
from ser.train.classical.classifier import Classical, neural_only
from ser.train.heads._spectrogram import Spectrogram
from ser.workspace import writing

SHOWN = 6  # layers of attention in one picture, the last ones; the arrays have all


@dataclass(frozen=True)
class HeadFile:
    """A saved head and the utterances that it may be shown on.

    Attributes:
        path: `.safetensors`.
        run, fold: of the experiment.
        rows: positions in the corpus, `(m,)`, of utterances that it was not trained on.
    """

    path: Path
    run: int
    fold: str
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """An utterance that one head is explained on, and the probabilities that it gives, `(classes,)`."""

    opened: OpenedHead
    file: HeadFile
    row: int
    shares: NDArray[np.float64]


def explain(
    files: Sequence[HeadFile],
    data: Tensors,
    folder: Path,
    name: str,
    *,
    standardise: Callable[[SavedHead], Sequence[Block]] | None = None,
    examples: int = 1,
    draws: int = DRAWS,
    say: Callable[[str], None] = lambda _: None,
) -> Explanations:
    """Write arrays and pictures that explain heads.

    Layer weights and contributions of modalities are over all heads. Activation and attention are of examples, by the heads
    of the first run: for each true class, the utterances that were recognised, and that were missed, with most confidence.

    Args:
        files: heads of one experiment.
        data: raw features of the corpus under the heads' classes.
        folder: receives `explanations.json`, PNG and NPZ files.
        name: of the experiment, for titles.
        standardise: gives the features as a head was trained on them; None standardises by the head's own statistics.
        examples: the number of right ones, and of wrong ones, for each class.
        draws: the number of partners of each utterance, for the contributions of modalities.

    Returns:
        The content of `explanations.json`.

    Raises:
        ConfigError: a head on dialogues or on other features, or nothing that can be explained.
    """
    layers: dict[str, list[NDArray[np.float64]]] = {}
    shared: list[tuple[Contributions, NDArray[np.int64]]] = []
    chosen: list[Example] = []
    for number, file in enumerate(files, 1):
        saved, rows = load_head(file.path), file.rows
        opened = open_head(saved, data, None if standardise is None else standardise(saved))
        for store, weights in opened.layer_weights().items():
            layers.setdefault(store, []).append(weights)
        if len({i.modality for i in saved.inputs}) > 1:
            shared.append((contributions(opened, rows, draws=draws), data.labels[rows]))
        inside = any(isinstance(m, Spectrogram) or hasattr(m, "attends") for m, _ in opened.parts)
        if file.run == files[0].run and inside:
            chosen += _candidates(opened, file, rows, examples)
        if not (layers or shared or inside):  # nor will there be anything of the others, which are alike
            break
        say(f"explained {number} of {len(files)} heads")
    if not (layers or shared or chosen):
        if files and isinstance(saved.config, Classical):
            raise neural_only(saved.config.head)
        raise ConfigError(
            f"nothing in {name} to explain: one modality, one layer, no attention, no convolutions",
            expected="a head on a spectrogram, on sequences, on all layers of an encoder, or on several modalities",
        )
    folder.mkdir(parents=True, exist_ok=True)
    found = Explanations(
        experiment=name,
        dataset=data.dataset,
        heads=[ExplainedHead(file=f.path.name, run=f.run, fold=f.fold, utterances=len(f.rows)) for f in files],
        layers=_layers(layers, data, folder, name),
        modalities=_modalities(shared, data.classes, draws, folder, name),
        examples=[_show(e, folder) for e in _best(chosen, examples, len(data.classes))],
    )
    write_json(folder / "explanations.json", found)
    return found


def _candidates(opened: OpenedHead, file: HeadFile, rows: NDArray[np.int64], count: int) -> list[Example]:
    """Select from one head's rows, for each class, the surest right ones and the surest wrong ones."""
    shares = opened.probabilities(rows)
    labels, predicted, sure = opened.data.labels[rows], shares.argmax(-1), shares.max(-1)
    found = []
    for label in range(shares.shape[1]):
        for right in (True, False):
            fitting = np.flatnonzero((labels == label) & ((predicted == label) == right))
            best = fitting[np.argsort(-sure[fitting], kind="stable")[:count]]
            found += [Example(opened, file, int(rows[k]), shares[k]) for k in best]
    return found


def _best(found: Iterable[Example], count: int, classes: int) -> list[Example]:
    """Select the surest over all heads, in order of class, right ones first."""
    groups: dict[tuple[int, bool], list[Example]] = {}
    for e in found:
        label = int(e.opened.data.labels[e.row])
        groups.setdefault((label, int(e.shares.argmax()) != label), []).append(e)
    ordered = (groups.get((k, wrong), []) for k in range(classes) for wrong in (False, True))
    return [e for group in ordered for e in sorted(group, key=lambda e: -e.shares.max())[:count]]


def _show(example: Example, folder: Path) -> ExplainedUtterance:
    """Write the pictures and arrays of one example; return its entry in the record."""
    opened, row, data = example.opened, example.row, example.opened.data
    utterance = str(data.frame["utterance_id"].iloc[row])
    label, guess = int(data.labels[row]), int(example.shares.argmax())
    true, predicted = data.classes[label], data.classes[guess]
    seconds = float(data.frame["duration"].iloc[row])
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", utterance)
    title = f"{utterance}: {true}, recognised as {predicted} ({example.shares[guess]:.2f}); {opened.saved.config.head}"
    arrays: dict[str, NDArray[Any]] = {"probabilities": example.shares}
    files: list[str] = []
    if isinstance(opened.module, Spectrogram):
        maps = {}
        for number in dict.fromkeys((guess, label)):
            maps[data.classes[number]], picture = class_activation(opened, row, number)
            arrays[f"activation {data.classes[number]}"] = maps[data.classes[number]]
        arrays["spectrogram"] = picture
        covered = seconds * min(1.0, len(picture) / _frames(opened, row))
        save(pictures.activation(picture, maps, covered, title), folder / f"{stem}.activation.png")
        files.append(f"{stem}.activation.png")
    attended = attention_maps(opened, row)
    if attended:
        spoken = [i.name for i in opened.saved.inputs if i.modality == "audio"]
        words = {b.name: word_pieces_of(b, row) for b in data.blocks}
        save(pictures.attention(attended[-SHOWN:], seconds, spoken, words, title), folder / f"{stem}.attention.png")
        files.append(f"{stem}.attention.png")
        arrays |= {f"attention {m.layer}": m.weights for m in attended}
    with writing(folder / f"{stem}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return ExplainedUtterance(
        utterance_id=utterance,
        true=true,
        predicted=predicted,
        probability=float(example.shares[guess]),
        head=example.file.path.name,
        arrays=f"{stem}.npz",
        pictures=files,
        attention=[Attention(layer=m.layer, queries=list(m.queries), keys=list(m.keys)) for m in attended],
    )


def _frames(opened: OpenedHead, row: int) -> int:
    offsets = next(b.offsets for b in opened.data.blocks if b.name == opened.saved.inputs[0].name)
    assert offsets is not None
    return int(offsets[row + 1] - offsets[row])


def _layers(layers: dict[str, list[NDArray[np.float64]]], data: Tensors, folder: Path, name: str) -> dict[str, LayerWeights]:
    if not layers:
        return {}
    numbers = {s: data.stores[s]["identity"].get("layers") or list(range(len(w[0]))) for s, w in layers.items()}
    stacked = {store: np.stack(weights) for store, weights in layers.items()}
    save(pictures.layers(stacked, numbers, name), folder / "layers.png")
    return {
        store: LayerWeights(
            layers=numbers[store],
            mean=w.mean(0).tolist(),
            std=w.std(0, ddof=1).tolist() if len(w) > 1 else None,
            values=w.tolist(),
        )
        for store, w in stacked.items()
    }


def _modalities(
    shared: list[tuple[Contributions, NDArray[np.int64]]], classes: Sequence[str], draws: int, folder: Path, name: str
) -> Modalities:
    if not shared:
        return Modalities()
    names = shared[0][0].modalities
    values = np.stack([c.UA_values for c, _ in shared])
    # Of each utterance, what each modality adds to the probability of its true class.
    true = np.concatenate([c.values[:, np.arange(len(y)), y] for c, y in shared], axis=1)
    labels = np.concatenate([y for _, y in shared])
    by_class = {c: true[:, labels == k].mean(1).tolist() for k, c in enumerate(classes) if (labels == k).any()}
    save(pictures.modalities(names, values, by_class, name), folder / "modalities.png")
    return Modalities(
        players=list(names),
        draws=draws,
        UA_without_any=float(np.mean([c.UA[frozenset()] for c, _ in shared])),
        UA_with_only={
            "+".join(m for m in names if m in s): float(np.mean([c.UA[s] for c, _ in shared])) for s in shared[0][0].UA if s
        },
        shapley_of_UA={
            m: Contribution(mean=float(v.mean()), std=float(v.std(ddof=1)) if len(v) > 1 else None, values=v.tolist())
            for m, v in zip(names, values.T, strict=True)
        },
        shapley_of_true_class={c: dict(zip(names, v, strict=True)) for c, v in by_class.items()},
    )
