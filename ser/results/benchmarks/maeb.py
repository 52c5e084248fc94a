"""MAEB: a logistic regression on a few utterances of each class, accuracy (El Assadi et al., arXiv 2602.16008).

Its code is the package mteb (repository embeddings-benchmark/mteb): `mteb/abstasks/classification.py` (commit 012fa96) and the
tasks CREMA_D (`cremad.py`, 6e2c42c), IEMOCAPEmotion (`iemocap_emotion.py`, 22b3896) and RAVDESSAVClassification
(`ravdess_av_classification.py`, 22b3896). All rows are shuffled with the seed 42 and cut in five parts, whoever speaks; of the
other four the first so many rows of each class, in an order shuffled with that seed too, are trained on. The score is the mean
of the five. Each task takes 8 rows of each class, CREMA_D 10. Its published results are of version 1.38.33, whose
tasks had 16 each, as `AbsTaskAudioClassification` set them (commit 0839f3e, and pull request 3571).
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ser.metadata.folds.fold_file import UNUSED, Line
from ser.results.benchmarks import DATA, Folds, Preset

if TYPE_CHECKING:
    import pandas as pd

SEED, PARTS = 42, 5
CODE = "repository embeddings-benchmark/mteb, abstasks/classification.py; El Assadi et al., arXiv 2602.16008"
RESULTS = "repository embeddings-benchmark/results, main_score of {}.json, mteb 1.38.33; El Assadi et al., arXiv 2602.16008"
SYSTEMS = ("whisper-tiny", "whisper-large-v3", "wav2vec2-base", "hubert-base", "wavlm-base")
OPTIONS = {
    **DATA,
    "normalize": "none",
    "validation": "utterance",
    "target": "emotion",
    "scheme": "native",
    "protocol": "file",
    "head": "sklearn:LogisticRegression",
    "head_options": {"C": 1.0, "fit_intercept": True, "max_iter": 100, "solver": "lbfgs", "tol": 1e-4},
    "class_weights": "none",
}
ORDER = (
    "The published rows are in the order of a data set of theirs, ours in that of the utterances' ids: the same rule draws "
    "other shots, and other test parts.",
    "Test speakers are trained on, as in the publication: quote speakers apart beside it (ser fewshot --protocol speaker).",
    "Features are taken as they are, not standardised, as in the publication: those with scales of their own (eGeMAPS) suffer.",
    "Published embeddings are what the benchmark's own wrapper of each model gives, one vector for each recording.",
)
NOT_FOUND = "No published value with this number of shots was found at its source."


def few_shots(shots: int) -> Folds:
    """Five folds that train on so many rows of each class of the four other parts; all else is in no part of the fold."""

    def lines(frame: "pd.DataFrame") -> Iterator[Line]:
        rows = frame[frame["emotion"] != ""].sort_values("utterance_id", kind="stable")
        ids, labels = list(rows["utterance_id"]), list(rows["emotion"])
        mixed, order = _shuffled(range(len(ids))), None
        for number, part in enumerate(np.array_split(np.array(mixed, dtype=np.int64), PARTS), start=1):
            test = set(part.tolist())
            others = [row for row in range(len(ids)) if row not in test]
            order = _shuffled(range(len(others)) if order is None else order)  # each fold goes on from the one before
            taken: Counter[str] = Counter()
            train = set()
            for row in (others[k] for k in order):
                if taken[labels[row]] < shots:
                    taken[labels[row]] += 1
                    train.add(row)
            for row, utterance in enumerate(ids):
                yield str(number), utterance, "test" if row in test else "train" if row in train else UNUSED

    return lines


def _shuffled(order: "range | list[int]") -> list[int]:
    found = list(order)
    np.random.RandomState(SEED).shuffle(found)
    return found


def _of(corpus: str, utterances: int, shots: int, *remarks: str, task: str = "", values: tuple[float, ...] = ()) -> Preset:
    published = dict(zip(SYSTEMS, values, strict=True)) if values else {}
    source = RESULTS.format(task) if values else CODE
    said = (*ORDER, *remarks, *(() if values else (NOT_FOUND,)))
    return Preset(corpus, utterances, OPTIONS, "WA", "folds", published, source, said, runs=1, folds=few_shots(shots))


LABELS = "Published labels are of all utterances, also of those without a majority, which ours leave out."
SIXTEEN = "Its code drew these shots by an unseeded shuffle, ours by that of later versions."
PRESETS = {
    "maeb-ravdess": _of(
        "ravdess", 1440, 8, "The published task has sight and sound of these 1,440 utterances, ours the sound."
    ),
    "maeb-cremad": _of("cremad", 7442, 10),
    "maeb-cremad-16": _of("cremad", 7442, 16, SIXTEEN, task="CREMA_D", values=(0.4593, 0.4894, 0.3797, 0.4049, 0.4011)),
    "maeb-iemocap": _of("iemocap", 10039, 8, LABELS),
    "maeb-iemocap-16": _of(
        "iemocap", 10039, 16, LABELS, SIXTEEN, task="IEMOCAPEmotion", values=(0.2338, 0.2218, 0.2023, 0.2059, 0.2120)
    ),
}
