"""Predictions to evaluate: those that a record has of its own corpus, or new ones by its saved heads."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ser.errors import ConfigError, StoreError
from ser.evaluation.outputs import Floats, Rows, Source, positions
from ser.evaluation.subject import SHARED_FOLDS, Key, Subject
from ser.features.blocks import stored_block
from ser.features.store_selection import choose_stores
from ser.features.stores.store import FeatureStore
from ser.features.tensors import UNKNOWN_SOURCE, Tensors, load_tensors
from ser.metadata.table import load_table
from ser.train.checkpoint import SavedHead, load_head
from ser.train.runs.identity import prediction_rows
from ser.train.runs.joined_corpora import same_encoders
from ser.workspace import Workspace

SAME = 5e-3  # probabilities of the same head on another machine, in another precision of the matrix product


@lru_cache(maxsize=4)
def head_of(path: Path) -> SavedHead:
    return load_head(path)


def recorded(subject: Subject, dataset: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test predictions of one corpus, and the validation predictions of the same runs and folds.

    A head's training and validation rows are never tested: of a corpus it has seen, there are the recorded test rows alone.

    Raises:
        ConfigError: the heads were not tested on this corpus.
    """
    if subject.summary is None:
        raise ConfigError(
            f"the head {subject.path} was trained on {dataset}, and without its record nobody knows on which utterances",
            expected=f"the record {subject.path.resolve().parent}.json and the run's files beside the head",
            action="Keep a results folder together, or evaluate on another corpus.",
        )
    rows = subject.predictions
    test = rows[rows["split"] == "test"]
    corpora = test["dataset"] if "dataset" in test else pd.Series(subject.tested, index=test.index)
    others = ", ".join(sorted(set(corpora.astype(str))))
    test = test[corpora == dataset]
    if not len(test):
        raise ConfigError(
            f"{subject.name} was trained on {dataset}, and on none of it tested",
            expected=f"a corpus it was tested on ({others}), or has not seen",
        )
    return test.reset_index(drop=True), rows[rows["split"] == "validation"].reset_index(drop=True)


def validation_of(subject: Subject) -> pd.DataFrame:
    """The validation predictions behind each saved head, under its run and fold; those that folds share are taken once."""
    parts = []
    for key in subject.heads:
        rows = subject.rows_of(key)
        rows = rows[rows["split"] == "validation"]
        if key[1] in SHARED_FOLDS:
            rows = rows.drop_duplicates("utterance_id")
        parts.append(rows.assign(fold=key[1]))
    found: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return found


def stores_of(subject: Subject) -> list[str]:
    """Names of the stores that the heads take, in their order."""
    return [i.name for i in head_of(next(iter(subject.heads.values()))).inputs]


def load_for(subject: Subject, dataset: str, space: Workspace, scheme: str) -> Tensors:
    """A corpus under the heads' classes, from stores of the heads' encoders.

    Raises:
        ConfigError: no utterance has one of the classes.
        StoreError: features of another encoder.
    """
    head = head_of(next(iter(subject.heads.values())))
    stores = choose_stores(space, load_table(dataset, space), stores_of(subject), None)
    data = load_tensors(dataset, space, scheme=scheme, stores=stores, classes=head.classes)
    if not len(data.frame):
        raise ConfigError(
            f"{dataset}: no utterance has a class of the head under scheme {scheme}", expected=", ".join(head.classes)
        )
    same_encoders(subject.name, head.about["stores"], dataset, data.stores)
    return data


def unseen(data: Tensors, subject: Subject, space: Workspace) -> tuple[Tensors, int]:
    """The corpus without utterances whose audio is, byte for byte, audio of a corpus that the heads were trained on."""
    known: set[bytes] = set()
    audio = [b.name for b in data.blocks if b.modality == "audio"]
    for corpus in subject.corpora:
        for name in audio:
            if name in space.stores(corpus):
                with FeatureStore(space.store(corpus, name)) as store:
                    known |= set(store.sources().values())
    known.discard(UNKNOWN_SOURCE)
    twice = np.zeros(len(data.frame), dtype=bool)
    for name in audio if known else []:
        with FeatureStore(space.store(data.dataset, name)) as store:
            sources = store.sources()
        twice |= np.array([sources[i] in known for i in data.frame["utterance_id"]])
    if not twice.any():
        return data, 0
    ids = list(data.frame["utterance_id"][~twice])
    if not ids:
        raise ConfigError(f"all audio of {data.dataset} is in a corpus that {subject.name} was trained on")
    blocks = [stored_block(space.store(data.dataset, b.name), b.name, ids) for b in data.blocks]
    frame = data.frame[~twice].reset_index(drop=True)
    fields = {**vars(data), "frame": frame, "labels": data.labels[~twice], "blocks": tuple(blocks)}
    return Tensors(**fields), int(twice.sum())


def predict_all(subject: Subject, source: Source) -> pd.DataFrame:
    """Each head on all utterances of a corpus that it has not seen."""
    data = source.data
    rows = np.arange(len(data.frame))
    return pd.concat(
        [
            prediction_rows(data, rows, source.probabilities(head_of(path)), run=run, fold=fold, split="test")
            for (run, fold), path in subject.heads.items()
        ],
        ignore_index=True,
    )


def replaced(
    subject: Subject, test: pd.DataFrame, source: Source, made: Callable[[Key, pd.DataFrame, Rows], Floats]
) -> pd.DataFrame:
    """The same predictions with other probabilities.

    Args:
        made: key, test rows of a head, and their positions in the source -> probabilities `(n, K)`.
    """
    columns = [f"p_{name}" for name in subject.classes]
    found = test.copy()
    for key, rows in per_head(subject, test):
        where = positions(source.data, list(rows["utterance_id"]), source.data.dataset)
        refuse_lacking(where, rows, source.data.dataset)
        found.loc[rows.index, columns] = made(key, rows, where).astype(np.float32)
    best = found[columns].to_numpy().argmax(axis=1)
    named: pd.DataFrame = found.assign(predicted=np.array(subject.classes, dtype=object)[best])
    return named


def per_head(subject: Subject, test: pd.DataFrame) -> list[tuple[Key, pd.DataFrame]]:
    """The test rows of each saved head; of those that folds share, of all its folds.

    Raises:
        ConfigError: a head on dialogues that several folds share: each fold tested it on sequences of its own turns alone.
    """
    found = []
    for key in subject.heads:
        own = test[test["run"] == key[0]]
        own = own if key[1] in SHARED_FOLDS else own[own["fold"] == key[1]]
        if own["fold"].nunique() > 1 and head_of(subject.heads[key]).config.context == "dialogue":
            raise ConfigError(
                f"a head on dialogues that {own['fold'].nunique()} folds share cannot be run again as it was tested: each fold "
                "showed it its own turns of a dialogue alone",
                expected="a head of one fold",
                action="Take a protocol of one fold: --protocol official.",
            )
        if len(own):
            found.append((key, own))
    return found


def refuse_lacking(where: Rows, rows: pd.DataFrame, dataset: str) -> None:
    """Refuse a corpus without an utterance of the record."""
    if (where < 0).any():
        missing = rows["utterance_id"].iloc[int((where < 0).argmax())]
        raise StoreError(f"{dataset} no longer has the utterance {missing}, which the record was tested on")


def refuse_other(new: Floats, old: Floats, subject: Subject, key: Key) -> None:
    """Refuse features under which a head no longer says what its record has."""
    apart = float(np.abs(new - old).max())
    if apart > SAME:
        raise StoreError(
            f"the head of run {key[0]}, fold {key[1]} no longer gives the probabilities of its record",
            expected=f"differences up to {SAME}",
            found=f"{apart:.3g}",
            action=f"Bring the features of {subject.name} back, or train it again.",
        )
