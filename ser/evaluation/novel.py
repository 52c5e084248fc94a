"""Novelty scores of utterances of an emotion that was left out, or of another corpus (`ser.results.metrics.novelty`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.evaluation.outputs import Source, positions
from ser.evaluation.predicting import head_of, per_head, refuse_lacking, refuse_other, stores_of
from ser.evaluation.subject import Key, Subject
from ser.evaluation.training import Training
from ser.features.tensors import load_features
from ser.metadata.labels import load_scheme
from ser.metadata.table import load_table
from ser.results.metrics import novelty
from ser.results.statistics.intervals import describe
from ser.train.checkpoint import SavedHead
from ser.train.runs.joined_corpora import same_encoders
from ser.workspace import Workspace

EMOTION = "emotion:"
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Novel:
    """What is to be told from the known.

    Attributes:
        kind: `emotion:NAME`, or a corpus.
        source: features of a corpus.
        rows: which of its utterances are novel, `(n,)`.
        together: whether the known utterances are in it too, for features are standardised by all that are there.
    """

    kind: str
    source: Source
    rows: Rows
    together: bool


def find_novel(
    kind: str, subject: Subject, known: Source, space: Workspace, scheme: str, dataset: str, device: str
) -> Novel:
    """Features of what is novel: `emotion:NAME` of the evaluated corpus, or all of another corpus.

    Raises:
        ConfigError: there is no such emotion or corpus, or the heads know it.
        StoreError: features of another encoder.
    """
    head = head_of(next(iter(subject.heads.values())))
    wanted, keep, together = None, None, False
    if kind.startswith(EMOTION):
        wanted, corpus, together = _emotion(kind, subject, dataset, space, scheme), dataset, _moves(head)
        use = wanted | (set(known.data.frame["utterance_id"]) if together else set())

        def keep(table: pd.DataFrame) -> NDArray[np.bool_]:
            return np.asarray(table["utterance_id"].isin(use))
    else:
        corpus = kind
        if corpus in (*subject.corpora, dataset):
            raise ConfigError(f"--novelty {corpus}: {subject.name} knows it", expected="a corpus of another kind")
    data = load_features(corpus, space, stores_of(subject), keep)
    same_encoders(subject.name, head.about["stores"], corpus, data.stores)
    ids = data.frame["utterance_id"]
    rows = np.arange(len(ids)) if wanted is None else np.flatnonzero(ids.isin(wanted))
    if not len(rows):
        raise ConfigError(f"--novelty {kind}: no utterance has features")
    return Novel(kind, Source(data, device), rows, together)


def _emotion(kind: str, subject: Subject, dataset: str, space: Workspace, scheme: str) -> set[str]:
    """Ids of the utterances of an emotion that the heads do not know."""
    name = kind.removeprefix(EMOTION)
    frame = load_table(dataset, space).frame
    rows = frame[(frame["emotion"] == name) | (frame["label"] == name)]
    if rows.empty:
        there = ", ".join(sorted(set(frame["emotion"]) - {""}))
        raise ConfigError(f"--novelty {kind}: {dataset} has no such emotion", expected=f"one of {there}")
    if load_scheme(scheme, frame).apply(rows).isin(subject.classes).any():
        raise ConfigError(
            f"--novelty {kind}: the heads of {subject.name} were trained on it",
            action=f"Train without it: ser fit --scheme {scheme}-without-{name} --save ...",
        )
    return set(rows["utterance_id"])


def evaluate_novelty(
    novel: Novel, subject: Subject, test: pd.DataFrame, known: Source, training: Training, own: bool
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores of known and novel utterances by each head.

    Args:
        test: predictions of the known utterances, by run and fold.
        known: features of these.
        own: whether the known corpus is the heads' own; then of an emotion left out, only the fold's test speakers count
            where the fold keeps speakers apart, so that nothing but the emotion is new.

    Returns:
        The record's entry, and the score of each utterance.
    """
    tables: list[pd.DataFrame] = []
    values: list[tuple[int, dict[str, dict[str, float]]]] = []
    source = novel.source if novel.together else known
    for key, rows in per_head(subject, test):
        rows = rows.drop_duplicates("utterance_id")
        where = positions(source.data, list(rows["utterance_id"]), source.data.dataset)
        refuse_lacking(where, rows, source.data.dataset)
        others = _of_speakers(novel, source, where) if own and novel.kind.startswith(EMOTION) else novel.rows
        if not len(others):
            continue
        sides = [(source, where), (novel.source, others)]
        scores = _scored(subject, key, rows, sides, training)
        values.append((key[0], {n: _told(scores[0][n], scores[1][n]) for n in scores[0]}))
        for number, ((side, at), found) in enumerate(zip(sides, scores, strict=True)):
            ids = side.data.frame["utterance_id"].iloc[at].to_numpy()
            columns = {"run": key[0], "fold": key[1], "novel": number, **found}
            tables.append(pd.DataFrame({"utterance_id": ids, "dataset": side.data.dataset, **columns}))
    if not values:
        raise ConfigError(f"--novelty {novel.kind}: no fold has a novel utterance of its test speakers")
    table = pd.concat(tables, ignore_index=True)
    return _entry(subject, novel, values, table, training), table


def _scored(
    subject: Subject, key: Key, rows: pd.DataFrame, sides: Sequence[tuple[Source, Rows]], training: Training
) -> list[dict[str, Floats]]:
    """Novelty scores by one head, of the known and of the novel."""
    head = head_of(subject.heads[key])
    trained = training.embeddings(key, head)
    found = [source.outputs(head, at, embeddings=trained is not None) for source, at in sides]
    if not _moves(head):
        old = rows[[f"p_{c}" for c in subject.classes]].to_numpy(dtype=np.float64)
        refuse_other(found[0].probabilities, old, subject, key)
    scores = [{"max_softmax": novelty.max_softmax(o.probabilities)} for o in found]
    for own, o in zip(scores, found, strict=True):
        own |= {} if o.logits is None else {"energy": novelty.energy(o.logits)}
    if trained is not None:
        distance, nearest = novelty.Mahalanobis(*trained), novelty.Neighbours(trained[0])
        for own, o in zip(scores, found, strict=True):
            assert o.embeddings is not None
            own |= {"mahalanobis": distance(o.embeddings), "knn": nearest(o.embeddings)}
    return scores


def _moves(head: SavedHead) -> bool:
    """Whether features are standardised by the utterances that are there, so that novel ones change the known."""
    return str(head.about["normalize"]) != "none" and not head.statistics


def _of_speakers(novel: Novel, known: Source, test: Rows) -> Rows:
    """Novel utterances of the fold's test speakers, where the fold keeps speakers apart; else all."""
    speakers = known.data.frame["speaker"].to_numpy()
    rest = np.setdiff1d(np.arange(len(speakers)), test)
    rest = np.setdiff1d(rest, novel.rows) if novel.together else rest
    tested = set(speakers[test])
    if "" in tested or tested & set(speakers[rest]):
        return novel.rows
    among = novel.source.data.frame["speaker"].iloc[novel.rows].isin(tested)
    return np.asarray(novel.rows[among.to_numpy(dtype=bool)])


def _told(known: Floats, novel: Floats) -> dict[str, float]:
    return {"AUROC": novelty.auroc(known, novel), "FPR95": novelty.fpr95(known, novel)}


def _entry(
    subject: Subject,
    novel: Novel,
    values: Sequence[tuple[int, dict[str, dict[str, float]]]],
    table: pd.DataFrame,
    training: Training,
) -> dict[str, Any]:
    """Per run the mean over its heads, described over runs."""
    runs = sorted({run for run, _ in values})
    names = [n for n in novelty.SCORES if all(n in found for _, found in values)]
    scores = {
        name: {
            measure: describe([float(np.mean([f[name][measure] for r, f in values if r == run])) for run in runs])
            for measure in ("AUROC", "FPR95")
        }
        for name in names
    }
    size = table.groupby("novel")["utterance_id"].nunique()
    return {
        "novel": novel.kind,
        "dataset": novel.source.data.dataset,
        "n": {"known": int(size[0]), "novel": int(size[1])},
        "heads": len(values),
        "without_novel": len(subject.heads) - len(values),
        "neighbour": novelty.NEIGHBOUR,
        "scores": {name: scores.get(name) for name in novelty.SCORES},
        "notes": [*training.notes, *([] if "energy" in names else ["no energy: a classical head has no logits"])],
    }
