"""The predictions that are evaluated: the recorded test rows of the heads' own corpus, or new ones of another corpus."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError
from ser.evaluation.evaluated_model import EvaluatedModel, EvaluationOptions, head_of_file
from ser.evaluation.head_outputs import CorpusFeatures, Floats, Resources, Sides, load_features_for, over_heads
from ser.features.shared_audio import in_corpus
from ser.features.stored_layers import block_as_used
from ser.features.tensors import Tensors
from ser.results.records.names import SHARED_FOLDS
from ser.train.runs.predictions import prediction_rows
from ser.workers.engine import Engine
from ser.workspace import Workspace


@dataclass(frozen=True, eq=False)
class EvaluatedPredictions:
    """The predictions that are evaluated, and the corpus that they are of.

    Attributes:
        own: true for a corpus of the heads' own, of which only the recorded test rows are used.
        test, validation: predictions; validation is of the same runs and folds, None where there is no record.
        corpus: the corpus's features; None where nothing needs them.
        left_out: the number of utterances whose audio the heads were trained on.
    """

    model: EvaluatedModel
    dataset: str
    scheme: str
    own: bool
    test: pd.DataFrame
    validation: pd.DataFrame | None
    corpus: CorpusFeatures | None
    resources: Resources
    left_out: int = 0

    @property
    def held_out(self) -> pd.DataFrame:
        """The validation predictions; no rows where there are none."""
        return pd.DataFrame() if self.validation is None else self.validation

    @property
    def space(self) -> Workspace:
        """The workspace with the features."""
        return self.resources.space

    @property
    def features(self) -> CorpusFeatures:
        """The corpus's features, where they were loaded."""
        assert self.corpus is not None
        return self.corpus

    @property
    def validated(self) -> list[str]:
        """The corpora that the validation predictions are of; none where there are none."""
        if not len(self.held_out):
            return []
        if "dataset" in self.held_out:
            return [str(name) for name in pd.unique(self.held_out["dataset"])]
        return [self.model.tested or self.model.corpora[0]]


def predictions_to_evaluate(model: EvaluatedModel, options: EvaluationOptions, resources: Resources) -> EvaluatedPredictions:
    """Take the recorded predictions of the heads' own corpus, or predict another corpus.

    Raises:
        ConfigError: no corpus is named where there are several, heads are missing, or there are no test rows.
    """
    corpora, dataset = model.corpora, options.dataset or model.tested
    if dataset is None:
        raise ConfigError(f"{model.name} is of several corpora", expected=f"--dataset {' or '.join(corpora)}")
    if dataset in corpora:
        return _recorded(model, dataset, options, resources)
    model.need_heads(f"{dataset}, a corpus that the heads have not seen,")
    rule = options.scheme or model.scheme
    if rule is None:
        raise ConfigError(
            f"{model.path} lies without its record, which would say by which scheme labels become classes",
            expected=f"--scheme, with the classes {', '.join(model.classes)}",
        )
    whole = load_features_for(model, dataset, rule, resources).data
    data, left_out = _without_trained_audio(whole, model, resources.space)
    corpus = CorpusFeatures(data, resources.device)
    validation = None if model.summary is None else _validation_of_heads(model)
    test = _predict(model, corpus, resources.engine)
    return EvaluatedPredictions(model, dataset, rule, False, test, validation, corpus, resources, left_out)


def _recorded(model: EvaluatedModel, dataset: str, options: EvaluationOptions, resources: Resources) -> EvaluatedPredictions:
    """The recorded test rows of one corpus, and the validation rows of the same runs and folds.

    A head's training and validation rows are never tested: of a corpus that it has seen, there are the recorded test rows
    alone.
    """
    if model.summary is None:
        raise ConfigError(
            f"the head {model.path} was trained on {dataset}; without its record it is not known on which utterances",
            expected=f"the record {model.path.resolve().parent}.json and the run's files beside the head",
            action="Keep a results folder together, or evaluate on another corpus.",
        )
    rows = model.predictions
    test = rows[rows["split"] == "test"]
    corpora = test["dataset"] if "dataset" in test else pd.Series(model.tested, index=test.index)
    others = ", ".join(sorted(set(corpora.astype(str))))
    test = test[corpora == dataset]
    if not len(test):
        raise ConfigError(
            f"{model.name} was trained on {dataset}, and not tested on it",
            expected=f"a corpus it was tested on ({others}), or has not seen",
        )
    validation = rows[rows["split"] == "validation"].reset_index(drop=True)
    rule = model.scheme or "native"
    if options.scheme not in (None, rule):
        raise ConfigError(
            f"--scheme {options.scheme}: {model.name} was tested on {dataset} under {rule}", action="Leave --scheme out."
        )
    corpus = None
    # The record has the mean over snapshots: each by itself is predicted again, where the heads are there.
    if options.runs_heads or model.snapshots > 1:
        model.need_heads("this evaluation")
        corpus = load_features_for(model, dataset, rule, resources)
    held_out = validation if len(validation) else None
    return EvaluatedPredictions(model, dataset, rule, True, test.reset_index(drop=True), held_out, corpus, resources)


def _validation_of_heads(model: EvaluatedModel) -> pd.DataFrame:
    """The validation predictions of each saved head, under its run and fold; those that folds share are taken once."""
    parts = []
    for key in model.heads:
        rows = model.rows_of(key)
        rows = rows[rows["split"] == "validation"]
        if key[1] in SHARED_FOLDS:
            rows = rows.drop_duplicates("utterance_id")
        parts.append(rows.assign(fold=key[1]))
    found: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return found


def _without_trained_audio(data: Tensors, model: EvaluatedModel, space: Workspace) -> tuple[Tensors, int]:
    """Leave out utterances whose audio a corpus that the heads were trained on has too; and give their number."""
    twice = np.zeros(len(data.frame), dtype=bool)
    for corpus in model.corpora:
        twice |= in_corpus(data, corpus, space)
    if not twice.any():
        return data, 0
    ids = list(data.frame["utterance_id"][~twice])
    if not ids:
        raise ConfigError(
            f"all audio of {data.dataset} is in a corpus that {model.name} was trained on ({', '.join(model.corpora)}), whole "
            "or in parts",
            expected="a corpus with other recordings",
        )
    blocks = [
        block_as_used(space.store(data.dataset, b.name), ids, b.name, data.stores[b.name], b.streamed) for b in data.blocks
    ]
    frame = data.frame[~twice].reset_index(drop=True)
    values = None if data.values is None else data.values[~twice]
    return replace(data, frame=frame, labels=data.labels[~twice], values=values, blocks=tuple(blocks)), int(twice.sum())


def _predict(model: EvaluatedModel, corpus: CorpusFeatures, engine: Engine) -> pd.DataFrame:
    """Predict all utterances of a corpus that the heads have not seen by each head."""
    data, keys = corpus.data, list(model.heads)
    rows, found = np.arange(len(data.frame)), dict[int, pd.DataFrame]()
    units = [(path, [(corpus, rows)]) for path in model.heads.values()]
    for k, answers in over_heads(_answers, model, units, engine):
        run, fold = keys[k]
        found[k] = prediction_rows(data, rows, answers, run=run, fold=fold, split="test")
    return pd.concat([found[k] for k in range(len(keys))], ignore_index=True)


def _answers(head: Path, sides: Sides) -> Floats:
    """The probabilities of a saved head, and the values of dimensions after them, `(n, K + D)`."""
    ((corpus, rows),) = sides
    found = corpus.outputs(head_of_file(head), rows)
    return np.concatenate([found.probabilities, found.values], axis=1)
