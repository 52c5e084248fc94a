"""Linear probe: logistic regression of scikit-learn on the source model's embedding, which stays as it is.

A standard test of the content of a representation (Alain & Bengio, "Understanding intermediate layers using linear classifier
probes", ICLR workshop 2017; as a few-shot baseline: Tian et al., "Rethinking Few-Shot Image Classification", ECCV 2020).
Vectors `(runs, shots, E)` are standardised by the shots' own mean and deviation; scikit-learn's defaults (L2, C = 1), classes
balanced. Without a source the pooled, normalised features take the embedding's place. Of dimensions it is ridge regression
(scikit-learn's `Ridge`, alpha = 1) on the values of the shots.
"""

from collections.abc import Sequence

import numpy as np

from ser.errors import TrainingError
from ser.metadata.targets import DIMENSIONS
from ser.train.classical.learner import fit_alone
from ser.train.fewshot.methods._base import Answer, Rows, Task
from ser.train.loop.prediction import rescaled

FROM_SOURCE = True
NEEDS_SOURCE = False
READS_EMBEDDING = True
SKLEARN = True
TARGETS = ("emotion", "votes", "dimensions")
ITERATIONS = 2000


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, test = task.embedding(shots), task.embedding(task.test)
    answer = Answer(np.zeros((len(known), len(task.test), task.classes)), [], [])
    rated = task.data.values if task.data.target.kind == DIMENSIONS else None
    for run, (own, rows) in enumerate(zip(known, shots, strict=True)):
        labels = task.data.labels[rows] if rated is None else rated[rows]
        if rated is None and len(np.unique(labels)) < 2:
            raise TrainingError("the shots have fewer than two classes", action="Take more data or another scheme.")
        there = test[run if len(test) > 1 else 0]
        if not (np.isfinite(own).all() and np.isfinite(there).all()):  # the run's source model diverged
            answer.probabilities[run] = np.nan
            answer.account.append({})
            answer.seconds.append(0.0)
            answer.notes.append([])
            continue
        probe = LogisticRegression(class_weight="balanced", max_iter=ITERATIONS) if rated is None else Ridge()
        made = make_pipeline(StandardScaler(), probe)
        notes, seconds = fit_alone(made, "method linear", own, labels)
        if rated is None:
            answer.probabilities[run][:, made.classes_] = made.predict_proba(there)
        else:
            assert task.data.unit is not None
            values = np.asarray(made.predict(there)).reshape(len(there), -1)
            answer.probabilities[run] = rescaled(values, *task.data.unit)
        answer.account.append({"selection": "nothing is chosen"})
        answer.seconds.append(seconds)
        answer.notes.append(notes)
    return answer
