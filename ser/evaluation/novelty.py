"""Novelty of utterances of an emotion that was left out of training, or of another corpus (`ser.results.metrics.novelty`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser.errors import ConfigError, SerError
from ser.evaluation.evaluated_model import EvaluatedModel, Key, head_of_file
from ser.evaluation.head_outputs import (
    CorpusFeatures,
    Floats,
    Resources,
    Rows,
    Sides,
    load_features_for,
    over_heads,
    standardised_together,
)
from ser.evaluation.predictions import EvaluatedPredictions
from ser.evaluation.rerun import refuse_other_probabilities
from ser.features.stored_layers import as_used
from ser.features.tensors import load_features
from ser.metadata.labels import load_scheme
from ser.metadata.table import load_table
from ser.results.metrics import novelty
from ser.results.metrics.intervals import describe_as
from ser.results.records.evaluated_output import DescribedShare
from ser.results.records.evaluation import Novelty, NoveltyCounts, NoveltyScores, Separation
from ser.train.runs.joined_corpora import identities, same_encoders

EMOTION = "emotion:"


@dataclass(frozen=True, eq=False)
class NovelUtterances:
    """The utterances that scores should tell from the known ones.

    Attributes:
        kind: `emotion:NAME`, or a corpus.
        corpus: features of the corpus that they are in.
        rows: their positions in it, `(n,)`.
        together: true where the known utterances are in it too, as features are standardised by all that are there.
    """

    kind: str
    corpus: CorpusFeatures
    rows: Rows
    together: bool


class TrainingUtterances:
    """The utterances that each head was trained on, for the scores that learn from their embeddings.

    These are the utterances of its corpora that are in no other part of its fold.

    Args:
        scheme: the label scheme of the record.

    Attributes:
        notes: reasons why there are none.
    """

    def __init__(self, model: EvaluatedModel, scheme: str, resources: Resources) -> None:
        self.model, self.scheme, self.resources = model, scheme, resources
        self.notes: dict[str, None] = {}
        self._corpora: dict[str, CorpusFeatures] = {}

    def of(self, key: Key) -> Sides:
        """The utterances of each corpus; none, with a note, where they are not known."""
        try:
            return self._sides(key)
        except _UnknownRows as reason:
            self.note(reason)
        except SerError as error:
            self.note(f"the training features cannot be read: {error.line()}")
        return []

    def note(self, reason: object) -> None:
        self.notes[f"no mahalanobis, no knn: {reason}"] = None

    def _sides(self, key: Key) -> Sides:
        if self.model.summary is None:
            raise _UnknownRows("the head lies without its record: its training utterances are not known")
        held_out = set(self.model.rows_of(key)["utterance_id"])
        sides = []
        for name in self.model.head(key).about.dataset.split("+"):
            corpus = self._corpus(name)
            ids = corpus.data.frame["utterance_id"]
            sides.append((corpus, np.flatnonzero([i not in held_out and f"{name}/{i}" not in held_out for i in ids])))
        n = self.model.record(key).n
        count = sum(len(rows) for _, rows in sides)
        if count not in (n.train, n.train + (n.before or 0)):
            raise _UnknownRows(f"{count} utterances were neither validation nor test, and {n.train} trained on")
        return sides

    def _corpus(self, name: str) -> CorpusFeatures:
        if name not in self._corpora:
            self._corpora[name] = load_features_for(self.model, name, self.scheme, self.resources)
        return self._corpora[name]


class _UnknownRows(Exception):
    """The reason why nothing can be learned from the training utterances."""


def find_novel(kind: str, predictions: EvaluatedPredictions) -> NovelUtterances:
    """Load the features of novel utterances.

    Args:
        kind: `emotion:NAME`, an emotion of the evaluated corpus, or another corpus.

    Raises:
        ConfigError: there is no such emotion or corpus, or the heads know it.
        StoreError: features of another encoder.
    """
    model, known, dataset = predictions.model, predictions.features, predictions.dataset
    head = model.first_head
    wanted: set[str] | None = None
    name, together = kind, False
    if kind.startswith(EMOTION):
        name, together = dataset, standardised_together(head)
        wanted = _ids_of_emotion(kind, predictions)
    elif kind in (*model.corpora, dataset):
        raise ConfigError(f"--novelty {kind}: {model.name} knows it", expected="a corpus of another kind")
    used = None if wanted is None else wanted | (set(known.data.frame["utterance_id"]) if together else set())
    keep = None if used is None else lambda table: np.asarray(table["utterance_id"].isin(used))
    data = as_used(load_features(name, predictions.space, model.stores, keep), head.about.stores)
    same_encoders(model.name, identities(head.about.stores), name, identities(data.stores))
    ids = data.frame["utterance_id"]
    rows = np.arange(len(ids)) if wanted is None else np.flatnonzero(ids.isin(wanted))
    if not len(rows):
        raise ConfigError(f"--novelty {kind}: no utterance has features")
    return NovelUtterances(kind, CorpusFeatures(data, known.device), rows, together)


def _ids_of_emotion(kind: str, predictions: EvaluatedPredictions) -> set[str]:
    """The ids of the utterances of an emotion that the heads do not know."""
    name, model, scheme = kind.removeprefix(EMOTION), predictions.model, predictions.scheme
    frame = load_table(predictions.dataset, predictions.space).frame
    rows = frame[(frame["emotion"] == name) | (frame["label"] == name)]
    if rows.empty:
        there = ", ".join(sorted(set(frame["emotion"]) - {""}))
        raise ConfigError(f"--novelty {kind}: {predictions.dataset} has no such emotion", expected=f"one of {there}")
    if load_scheme(scheme, frame).apply(rows).isin(model.classes).any():
        raise ConfigError(
            f"--novelty {kind}: the heads of {model.name} were trained on it",
            action=f"Train without it: ser fit --scheme {scheme}-without-{name} --save ...",
        )
    return set(rows["utterance_id"])


def evaluate_novelty(
    novel: NovelUtterances, predictions: EvaluatedPredictions, training: TrainingUtterances
) -> tuple[Novelty, pd.DataFrame]:
    """Score known and novel utterances by each head.

    Where the known corpus is the heads' own and an emotion was left out, only the novel utterances of the fold's test
    speakers count, if the fold keeps speakers apart, so that nothing but the emotion is new.

    Returns:
        The record's entry, and the score of each utterance.

    Raises:
        ConfigError: no fold has a novel utterance of its test speakers.
        StoreError: features that are not those of the record.
    """
    model = predictions.model
    heads: list[tuple[Key, pd.DataFrame, Sides]] = []
    known = novel.corpus if novel.together else predictions.features
    for key, rows in model.head_rows(predictions.test):
        rows = rows.drop_duplicates("utterance_id")
        where = known.recorded_positions(rows)
        apart = predictions.own and novel.kind.startswith(EMOTION)
        others = _of_test_speakers(novel, known, where) if apart else novel.rows
        if not len(others):
            continue
        heads.append((key, rows, [(known, where), (novel.corpus, others)]))
    if not heads:
        raise ConfigError(f"--novelty {novel.kind}: no fold has a novel utterance of its test speakers")
    units = [(model.heads[key], [*sides, *training.of(key)]) for key, _, sides in heads]
    found = dict(over_heads(_score, model, units, predictions.resources.engine))
    tables: list[pd.DataFrame] = []
    values: list[tuple[int, dict[str, dict[str, float]]]] = []
    for k, (key, rows, sides) in enumerate(heads):
        again, scores, note = found[k]
        if again is not None:
            refuse_other_probabilities(again, rows, model, key)
        if note:
            training.note(note)
        pairs = {name: (own, scores[1][name]) for name, own in scores[0].items()}
        values.append((key[0], {n: {"AUROC": novelty.auroc(*p), "FPR95": novelty.fpr95(*p)} for n, p in pairs.items()}))
        for number, ((side, at), own) in enumerate(zip(sides, scores, strict=True)):
            ids = side.data.frame["utterance_id"].iloc[at].to_numpy()
            columns = {"run": key[0], "fold": key[1], "novel": number, **own}
            tables.append(pd.DataFrame({"utterance_id": ids, "dataset": side.data.dataset, **columns}))
    table = pd.concat(tables, ignore_index=True)
    return _entry(model, novel, values, table, training), table


class _Scores(NamedTuple):
    """The novelty scores by one head.

    Attributes:
        known: the probabilities of the known, to be compared with the recorded ones; None where novel ones change them.
        scores: by name, of the known and of the novel.
        note: the reason why some cannot be, or "".
    """

    known: Floats | None
    scores: list[dict[str, Floats]]
    note: str


def _score(path: Path, sides: Sides) -> _Scores:
    """Score by one head the known (the first of `sides`) and the novel; the others are the utterances it was trained on."""
    head, note = head_of_file(path), ""
    trained = sides[2:]
    found = [corpus.outputs(head, at, embeddings=bool(trained)) for corpus, at in sides[:2]]
    scores = [{"max_softmax": novelty.max_softmax(o.probabilities)} for o in found]
    for own, o in zip(scores, found, strict=True):
        own |= {} if o.logits is None else {"energy": novelty.energy(o.logits)}
    vectors: list[Floats | None] = []
    try:
        vectors = [corpus.outputs(head, at, embeddings=True).embeddings for corpus, at in trained]
    except SerError as error:
        trained, note = [], f"the training features cannot be read: {error.line()}"
    learned = [v for v in vectors if v is not None]
    if len(learned) < len(trained):
        trained, note = [], "the head reads ids of words and offers no embedding"
    if trained:
        embeddings = np.concatenate(learned)
        labels = np.concatenate([corpus.data.labels[at] for corpus, at in trained])
        distance, nearest = novelty.Mahalanobis(embeddings, labels), novelty.Neighbours(embeddings)
        for own, o in zip(scores, found, strict=True):
            assert o.embeddings is not None
            own |= {"mahalanobis": distance(o.embeddings), "knn": nearest(o.embeddings)}
    return _Scores(None if standardised_together(head) else found[0].probabilities, scores, note)


def _of_test_speakers(novel: NovelUtterances, known: CorpusFeatures, test: Rows) -> Rows:
    """Select the novel utterances of the fold's test speakers, where the fold keeps speakers apart; else all."""
    speakers = known.data.frame["speaker"].to_numpy()
    rest = np.setdiff1d(np.arange(len(speakers)), test)
    rest = np.setdiff1d(rest, novel.rows) if novel.together else rest
    tested = set(speakers[test])
    if "" in tested or tested & set(speakers[rest]):
        return novel.rows
    among = novel.corpus.data.frame["speaker"].iloc[novel.rows].isin(tested)
    return np.asarray(novel.rows[among.to_numpy(dtype=bool)])


def _entry(
    model: EvaluatedModel,
    novel: NovelUtterances,
    values: Sequence[tuple[int, dict[str, dict[str, float]]]],
    table: pd.DataFrame,
    training: TrainingUtterances,
) -> Novelty:
    """The record's entry: for each run the mean over its heads, described over runs."""
    runs = sorted({run for run, _ in values})
    names = [n for n in novelty.SCORES if all(n in found for _, found in values)]

    def over_runs(name: str, measure: str) -> DescribedShare:
        each = [float(np.mean([f[name][measure] for r, f in values if r == run])) for run in runs]
        return describe_as(DescribedShare, each)

    scores = {name: Separation(AUROC=over_runs(name, "AUROC"), FPR95=over_runs(name, "FPR95")) for name in names}
    size = table.groupby("novel")["utterance_id"].nunique()
    return Novelty(
        novel=novel.kind,
        dataset=novel.corpus.data.dataset,
        n=NoveltyCounts(known=int(size[0]), novel=int(size[1])),
        heads=len(values),
        without_novel=len(model.heads) - len(values),
        neighbour=novelty.NEIGHBOUR,
        scores=NoveltyScores(**{name: scores.get(name) for name in novelty.SCORES}),
        notes=[*training.notes, *([] if "energy" in names else ["no energy: a classical head has no logits"])],
    )
