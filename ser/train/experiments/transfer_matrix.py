"""`transfer --matrix`: every corpus as source and as target, over the classes that all of them have.

As in EmoBox's cross-corpus table (Ma et al., Interspeech 2024). A source's head is trained once a seed and tested on all other
corpora, without any data of theirs; the diagonal is an ordinary `fit` within a corpus under its own protocol, without a second
training on the validation part, which the others do not have either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audit.split_data import SplitData, describe_data, tested_only
from ser.errors import ConfigError
from ser.features.tensors import Tensors
from ser.metadata import languages
from ser.metadata.folds.fold import Fold
from ser.results.metrics.swapped_labels import suspects
from ser.results.plotting.gallery import draw
from ser.results.plotting.style import save
from ser.results.records import record
from ser.results.records.names import MATRIX_SCHEMA
from ser.results.records.notes import notes_of
from ser.results.records.result import Source
from ser.results.records.summary import opening
from ser.results.report import matrices
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import SOURCE_ONLY, Variant, begin_variant, conclude_variant
from ser.train.runs import identity
from ser.train.runs.experiment import Begun, FitOptions, begin, check_runs, conclude, open_workspace, split_options
from ser.train.runs.joined_corpora import join, load_shared, named_stamps, shared_facts, short, starts_of
from ser.train.runs.scheduler import train_all
from ser.train.runs.source_target import cross_language, moved, source_fold
from ser.workspace import Workspace


@dataclass(frozen=True, eq=False)
class _Corpora:
    """All corpora of a matrix.

    Attributes:
        parts: their tensors, over the shared classes.
        joined: their rows one after another.
        starts: where the rows of each begin.
        within: of each, the experiment of the diagonal.
        facts: the study's `data`.
    """

    parts: list[Tensors]
    joined: Tensors
    starts: list[int]
    within: list[Begun]
    facts: dict[str, Any]

    @property
    def names(self) -> list[str]:
        return [data.dataset for data in self.parts]


def matrix(
    datasets: Sequence[str] | None = None,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    command: str = "ser.matrix",
    **options: Any,
) -> dict[str, Any]:
    """Train on each corpus, test on all, and write the study, its table as CSV and a heat map.

    Args:
        datasets: two or more of the workspace with the same features; None: all that have features.
        options: as for `ser.train.experiments.fit.fit`, without `refit`; `protocol` None takes the one that fits each table.

    Returns:
        The study, as written (`ser.results.studies.transfer_matrix.Study`).
        Runs that were finished by an earlier call are not trained again.

    Raises:
        ConfigError: fewer than two corpora, or fewer than two classes that all have.
        StoreError: their features are not of the same encoder.
    """
    started = datetime.now(timezone.utc)
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    check_runs(general.runs)
    general = replace(general, refit="auto" if is_classical(head) else "never")
    corpora = _prepare(_named(datasets, space), space, head, training, general)
    begun = [*corpora.within, *(_abroad(corpora, k, space, head, training, general) for k in range(len(corpora.parts)))]
    asked = {"head": head, "task": "matrix", "experiments": {b.job.experiment: b.asked for b in begun}}
    words = ["matrix", short(corpora.names), head, corpora.facts["protocol"], Path(general.scheme).stem]
    name, path = identity.place(space, general.output, words, asked)
    done = train_all(begun, general, name)
    number = len(corpora.parts)
    for k, (b, d) in enumerate(zip(begun, done, strict=True)):
        (conclude if k < number else conclude_variant)(b, d, command, started, part=True)
    frames = [pd.concat([p for _, p in d], ignore_index=True) for d in done]
    cells = [_cell(corpora, s, t, begun, frames, path) for s in range(number) for t in range(number)]
    study = {
        **opening(
            name,
            command,
            asked,
            corpora.facts,
            _stamps(corpora),
            started,
            sum(r["seconds"] for d in done for r, _ in d),
            begun[0].job.device,
            MATRIX_SCHEMA,
        ),
        "notes": [f"{b.job.experiment}: {n}" for b, d in zip(begun, done, strict=True) for n in notes_of(d)],
        "datasets": corpora.names,
        "cells": cells,
        "sources": matrices.means(cells, corpora.names, "source"),
        "targets": matrices.means(cells, corpora.names, "target"),
    }
    record.write_study(path, study)
    matrices.write_csv(study, path.with_suffix(".csv"))
    save(draw(Source(path, study), "matrix").figure, path.with_suffix(".matrix.png"))
    return study


def _named(datasets: Sequence[str] | None, space: Workspace) -> list[str]:
    names = list(datasets or [d for d in space.datasets() if space.stores(d)])
    if len(names) < 2:
        raise ConfigError(
            "a transfer matrix of fewer than two corpora",
            expected="--datasets A,B,... or a workspace with features of several",
            found=", ".join(names) or None,
        )
    return names


def _prepare(names: list[str], space: Workspace, head: str, training: dict[str, Any], options: FitOptions) -> _Corpora:
    parts = load_shared(names, space, options.features)
    within = [begin(d, space, head, training, replace(options, output=None)) for d in parts]
    facts = {
        **shared_facts(parts, options.scheme, options.normalize),
        "protocol": "+".join(dict.fromkeys(b.setup.protocol for b in within)),
        "datasets": {d.dataset: b.setup.facts for d, b in zip(parts, within, strict=True)},
    }
    return _Corpora(parts, join(parts), starts_of(parts), within, facts)


def _abroad(
    corpora: _Corpora, k: int, space: Workspace, head: str, training: dict[str, Any], options: FitOptions
) -> Begun:
    """The experiment of a row without its diagonal: a fold for each other corpus, all with one head of corpus k a seed."""
    source, others = corpora.parts[k], [t for t in range(len(corpora.parts)) if t != k]
    first = moved(source_fold(source, options), corpora.starts[k])
    folds: list[Fold] = []
    stamps: list[str] = []
    for t in others:
        target = corpora.within[t]
        tested = np.sort(np.concatenate([f.test for f in target.folds])) + corpora.starts[t]
        folds.append(replace(first, name=corpora.names[t], test=tested))
        own = [f"{corpora.names[t]}: {s}" for s in tested_only(target.setup.stamps)]
        stamps += [*own, *cross_language(source, corpora.parts[t])]
    datasets = {
        source.dataset: {**describe_data(source, options.scheme), "normalize": options.normalize},
        **{corpora.names[t]: corpora.facts["datasets"][corpora.names[t]] for t in others},
    }
    names = [corpora.names[t] for t in others]
    facts = {**corpora.facts, "source": source.dataset, "target": "+".join(names), "datasets": datasets}
    protocol = "+".join(dict.fromkeys(corpora.within[t].setup.protocol for t in others))
    setup = SplitData(corpora.joined, protocol, folds, facts, list(dict.fromkeys(stamps)))
    variant = Variant(SOURCE_ONLY, folds)
    words = [source.dataset, short(names), "source-only"]
    return begin_variant(setup, variant, space, head, training, options, words=words)


def _cell(
    corpora: _Corpora, s: int, t: int, begun: list[Begun], frames: list[pd.DataFrame], path: Path
) -> dict[str, Any]:
    """The scores of source s on target t, from the predictions."""
    source, target, k = corpora.names[s], corpora.names[t], s if s == t else len(corpora.names) + s
    frame = frames[k] if s == t else frames[k][frames[k]["fold"] == target]
    classes = corpora.facts["label_space"]["classes"]
    numbers = record.metrics_from_predictions(frame, classes)
    spoken = corpora.facts["languages"]
    return {
        "source": source,
        "target": target,
        "within": s == t,
        "cross_language": None if s == t else languages.crossing(spoken[source], spoken[target]),
        "utterances": int(sum(c["support"] for c in numbers["per_class"].values())),
        "experiment": begun[k].job.experiment,
        "record": identity.beside(path, begun[k].path),
        "fold": None if s == t else target,
        "validation": numbers["validation"],
        "pooled": numbers["pooled"],
        "suspects": suspects(frame, classes),
    }


def _stamps(corpora: _Corpora) -> list[str]:
    """Those of each corpus's own protocol, named where not all have them, and the pairs that share no language."""
    found = named_stamps(corpora.parts, [b.job.stamps for b in corpora.within])
    pairs = (p for a in corpora.parts for b in corpora.parts if a is not b for p in cross_language(a, b))
    return found + list(dict.fromkeys(pairs))
