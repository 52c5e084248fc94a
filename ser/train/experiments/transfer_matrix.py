"""`transfer --matrix`: every corpus as source and as target, over the classes that all of them have.

As in EmoBox's cross-corpus table (Ma et al., Interspeech 2024). A source's head is trained once per seed and tested on all
other corpora, without any data of theirs; the diagonal is an ordinary `fit` within a corpus under its own protocol, without a
second training on the validation part, which the others do not have either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.audit.split_data import SplitData, describe_data, tested_only
from ser.errors import ConfigError
from ser.features.shared_audio import stamps as shared_audio
from ser.features.tensors import Tensors
from ser.files import require_new_beside
from ser.metadata import languages
from ser.metadata.folds.fold import Fold
from ser.registry import words
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.model import tested_utterances
from ser.results.result import Result
from ser.results.studies.transfer_matrix import Cell, Study, means
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.experiments.transfer import SOURCE_ONLY, transfer_experiment
from ser.train.runs.experiment import Experiment, fit_experiment
from ser.train.runs.joined_corpora import join, load_shared, named_stamps, scheme_of, shared_facts, short, starts_of
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.train.runs.source_target import cross_language, moved, source_fold
from ser.workspace import Workspace


@dataclass(frozen=True, eq=False)
class _Corpora:
    """All corpora of a matrix.

    Attributes:
        parts: their tensors, over the shared classes.
        joined: their rows one after another.
        starts: the position of the first row of each.
        within: of each, the experiment of the diagonal.
        facts: the study's `data`.
    """

    parts: list[Tensors]
    joined: Tensors
    starts: list[int]
    within: list[Experiment]
    facts: dict[str, Any]

    @property
    def names(self) -> list[str]:
        return [data.dataset for data in self.parts]


@with_options("refit", "target")
def matrix(
    datasets: str | Sequence[str] | None = None,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    learns: str = "emotion",
    **options: Any,
) -> Result:
    """Train on each corpus, test on all, and write the study, its table as CSV and a heat map.

    Args:
        datasets: two or more of the workspace with the same features; None: all that have the named stores.
        learns: what heads learn, as `target` of `ser.fit`.

    Returns:
        The study, as written (`ser.results.studies.transfer_matrix.Study`).
        Runs that were finished by an earlier call are not trained again.

    Raises:
        ConfigError: fewer than two corpora, or fewer than two classes that all have.
        StoreError: their features are not of the same encoder.
    """
    given = read_options(matrix, workspace, head, options, learns)
    given = replace(given, refit="auto" if is_classical(head) else "never")
    if given.output is not None:
        require_new_beside(given.output, *(given.output.with_suffix(ending) for ending in (".csv", f".{Study.PICTURE}.png")))
    corpora = _prepare(_named(datasets, given), given)
    number = len(corpora.parts)
    across = [_across(corpora, k, given) for k in range(number)]

    def record(fields: StudyFields, path: Path) -> Study:
        cells = [_cell(corpora, across, s, t, path) for s in range(number) for t in range(number)]
        return Study(
            **fields,
            datasets=corpora.names,
            cells=cells,
            sources=means(cells, corpora.names, "source"),
            targets=means(cells, corpora.names, "target"),
        )

    experiments = [*corpora.within, *across]
    return study(
        [Variant(experiment.name, experiment) for experiment in experiments],
        given,
        words=["matrix", short(corpora.names)],
        config={"head": given.head, "task": "matrix", "experiments": {e.name: e.config for e in experiments}},
        data=corpora.facts,
        stamps=_stamps(corpora) + shared_audio(corpora.parts),
        record=record,
    )


def _named(datasets: str | Sequence[str] | None, options: FitOptions) -> list[str]:
    names = list(words("datasets", datasets or options.workspace.with_features(options.named_stores or ())) or ())
    if len(names) < 2:
        raise ConfigError(
            "a transfer matrix of fewer than two corpora",
            expected="--datasets A,B,... or a workspace with features of several",
            found=", ".join(names) or None,
        )
    return names


def _prepare(names: list[str], options: FitOptions) -> _Corpora:
    parts = load_shared(names, options)
    within = [fit_experiment(data, replace(options, output=None)) for data in parts]
    facts = {
        **shared_facts(parts, options),
        "protocol": "+".join(dict.fromkeys(e.setup.protocol for e in within)),
        "datasets": {d.dataset: e.setup.facts for d, e in zip(parts, within, strict=True)},
    }
    return _Corpora(parts, join(parts), starts_of(parts), within, facts)


def _across(corpora: _Corpora, k: int, options: FitOptions) -> Experiment:
    """The experiment of a row without its diagonal: a fold for each other corpus, all with one head of corpus k per seed."""
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
        stamps += shared_audio([source, corpora.parts[t]])
    datasets = {
        source.dataset: {**describe_data(source, scheme_of(source, options)), "normalize": options.normalize},
        **{corpora.names[t]: corpora.facts["datasets"][corpora.names[t]] for t in others},
    }
    names = [corpora.names[t] for t in others]
    facts = {**corpora.facts, "source": source.dataset, "target": "+".join(names), "datasets": datasets}
    protocol = "+".join(dict.fromkeys(corpora.within[t].setup.protocol for t in others))
    setup = SplitData(corpora.joined, protocol, folds, facts, list(dict.fromkeys(stamps)))
    return transfer_experiment(setup, SOURCE_ONLY, folds, options, words=[source.dataset, short(names), "source-only"])


def _cell(corpora: _Corpora, across: Sequence[Experiment], s: int, t: int, study: Path) -> Cell:
    """The scores of source s on target t, from the predictions."""
    source, target = corpora.names[s], corpora.names[t]
    experiment = corpora.within[s] if s == t else across[s]
    predictions = experiment.predictions
    if s != t:
        predictions = predictions[predictions["fold"] == target]
    classes = corpora.facts["label_space"]["classes"]
    numbers = metrics_from_predictions(predictions, classes)
    spoken = corpora.facts["languages"]
    return Cell(
        source=source,
        target=target,
        within=s == t,
        cross_language=None if s == t else languages.crossing(spoken[source], spoken[target]),
        utterances=int(tested_utterances(numbers)),
        **experiment.reference(study),
        fold=None if s == t else target,
        validation=numbers.validation or None,
        pooled=numbers.pooled,
        suspects=suspects(predictions, classes),
    )


def _stamps(corpora: _Corpora) -> list[str]:
    """Stamps of each corpus's own protocol, with its name where not all have them, and the pairs that share no language."""
    found = named_stamps(corpora.parts, [e.stamps for e in corpora.within])
    pairs = (p for a in corpora.parts for b in corpora.parts if a is not b for p in cross_language(a, b))
    return found + list(dict.fromkeys(pairs))
