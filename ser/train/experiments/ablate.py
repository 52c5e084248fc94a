"""`ablate`: what does each part of a model bring? Each modality alone, a simple fusion, and the full model, compared in pairs.

All variants have the same utterances (those with features of every modality), folds and seeds. Each is an ordinary `fit`
experiment with its own records, which are used again where they are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError, TrainingError
from ser.features.tensors import Tensors
from ser.results.records import record
from ser.results.records.names import ABLATION_SCHEMA
from ser.results.records.notes import notes_of
from ser.results.records.summary import opening
from ser.results.statistics.gains import against
from ser.train.classical.classifier import is_classical
from ser.train.heads._base import build, part_of
from ser.train.loop.data import Resident
from ser.train.runs import identity
from ser.train.runs.experiment import Begun, begin, conclude, load, open_workspace, split_options
from ser.train.runs.scheduler import train_all
from ser.workspace import Workspace

FULL = "full model"


@dataclass(frozen=True)
class Variant:
    """One row of an ablation: a head on the stores of some modalities."""

    name: str
    head: str
    modalities: tuple[str, ...]
    stores: tuple[str, ...]


def variants(data: Tensors, head: str, simple: str) -> list[Variant]:
    """Each modality alone, the simple fusion (where it is not the full model itself), the full model.

    A modality alone is given to the full model's head, or where that needs several, to `mlp` (pooled) or `mean_linear`
    (frames).

    Raises:
        ConfigError: one modality only.
    """
    modalities = tuple(dict.fromkeys(b.modality for b in data.blocks))
    if len(modalities) < 2:
        other = "--text bert" if modalities[0] == "audio" else "--audio egemaps"
        raise ConfigError(
            f"{data.dataset}: an ablation leaves modalities out, and there are features of {modalities[0]} only",
            expected="two modalities or more",
            action=f"Extract another: ser extract --dataset {data.dataset} {other}",
        )
    found = []
    for modality in modalities:
        stores = tuple(b.name for b in data.blocks if b.modality == modality)
        found.append(Variant(f"{modality} only", _head_alone(only(data, stores), head), (modality,), stores))
    every = tuple(b.name for b in data.blocks)
    found += [Variant("simple fusion", simple, modalities, every)] if simple != head else []
    return [*found, Variant(FULL, head, modalities, every)]


def only(data: Tensors, stores: Sequence[str]) -> Tensors:
    """The same utterances with the features of some stores."""
    blocks = tuple(b for b in data.blocks if b.name in stores)
    views = None if data.views is None else data.views.only(stores)
    kept = {n: facts for n, facts in data.stores.items() if n in stores}
    return replace(data, blocks=blocks, stores=kept, views=views)


def _head_alone(data: Tensors, head: str) -> str:
    if is_classical(head):
        return head
    try:
        build(part_of(head), Resident(data.blocks).inputs, len(data.classes), {}, 0)
    except TrainingError:
        return "mean_linear" if any(b.framewise for b in data.blocks) else "mlp"
    return head


def ablate(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "cross_attention",
    simple: str = "early",
    output: Path | str | None = None,
    command: str = "ser.ablate",
    **options: Any,
) -> dict[str, Any]:
    """Fit all variants, and compare the full model with each of the others.

    Args:
        dataset: one with features of two modalities or more.
        head: the full model.
        simple: the fusion that it has to beat.
        output: file of the ablation; None names it in `results/`.
        options: as for `ser.train.experiments.fit.fit`. Training options hold for all variants; `head_options` for
            those with `head`, and `modality_dropout` for those with several modalities.

    Returns:
        The ablation, as written (`ser.results.studies.ablation.Study`).
    """
    started = datetime.now(timezone.utc)
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    data = load(dataset, space, general)
    rows = variants(data, head, simple)
    begun = [_begin(only(data, v.stores), space, v, head, training, general) for v in rows]
    full = begun[-1]
    asked = {"head": head, "simple": simple, "variants": {v.name: b.asked for v, b in zip(rows, begun, strict=True)}}
    words = ["ablate", dataset, head, full.setup.protocol, Path(general.scheme).stem]
    name, path = identity.place(space, output, words, asked)
    done = train_all(begun, general, name)
    summaries = [conclude(b, d, command, started) for b, d in zip(begun, done, strict=True)]
    study = {
        **opening(
            name,
            command,
            asked,
            full.setup.facts,
            list(dict.fromkeys(s for b in begun for s in b.job.stamps)),
            started,
            sum(r["seconds"] for d in done for r, _ in d),
            full.job.device,
            ABLATION_SCHEMA,
        ),
        "notes": [f"{v.name}: {n}" for v, d in zip(rows, done, strict=True) for n in notes_of(d)],
        "full": FULL,
        "variants": [_row(v, b, s, path) for v, b, s in zip(rows, begun, summaries, strict=True)],
        "comparisons": against(
            FULL,
            {v.name: pd.concat([p for _, p in d], ignore_index=True) for v, d in zip(rows, done, strict=True)},
            list(data.classes),
        ),
    }
    record.write_study(path, study)
    return study


def _begin(
    data: Tensors, space: Workspace, variant: Variant, full: str, training: dict[str, Any], options: Any
) -> Begun:
    own = dict(training)
    if variant.head != full:
        own.pop("head_options", None)
    if len(variant.modalities) == 1:
        own.pop("modality_dropout", None)  # there is nothing that could be left out
    return begin(data, space, variant.head, own, replace(options, output=None))


def _row(variant: Variant, begun: Begun, summary: dict[str, Any], path: Path) -> dict[str, Any]:
    return {
        "name": variant.name,
        "head": variant.head,
        "modalities": list(variant.modalities),
        "stores": list(variant.stores),
        "experiment": begun.job.experiment,
        "record": identity.beside(path, begun.path),
        **{part: summary[part] for part in ("validation", "test", "pooled")},
    }
