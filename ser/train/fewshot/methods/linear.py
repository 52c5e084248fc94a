"""Linear probe: logistic regression of scikit-learn on the source model's embedding, which stays as it is.

A standard test of the content of a representation (Alain & Bengio, "Understanding intermediate layers using linear classifier
probes", ICLR workshop 2017; as a few-shot baseline: Tian et al., "Rethinking Few-Shot Image Classification", ECCV 2020).
Vectors `(runs, shots, E)` are standardised by the shots' own mean and deviation; scikit-learn's defaults (L2, C = 1), classes
balanced. Without a source the pooled, normalised features take the embedding's place.
"""

from collections.abc import Sequence

import numpy as np

from ser.errors import TrainingError
from ser.train.classical.learner import fit_alone
from ser.train.fewshot.methods._base import Answer, Rows, Task

FROM_SOURCE = True
NEEDS_SOURCE = False
READS_EMBEDDING = True
ITERATIONS = 2000


def learn(task: Task, shots: Rows, seeds: Sequence[int]) -> Answer:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, test = task.embedding(shots), task.embedding(task.test)
    answer = Answer(np.zeros((len(known), len(task.test), task.classes)), [], [])
    for run, (own, labels) in enumerate(zip(known, task.data.labels[shots], strict=True)):
        if len(np.unique(labels)) < 2:
            raise TrainingError("the shots have fewer than two classes", action="Take more data or another scheme.")
        there = test[run if len(test) > 1 else 0]
        if not (np.isfinite(own).all() and np.isfinite(there).all()):  # the run's source model diverged
            answer.probabilities[run] = np.nan
            answer.account.append({})
            answer.seconds.append(0.0)
            answer.notes.append([])
            continue
        made = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=ITERATIONS))
        notes, seconds = fit_alone(made, "method linear", own, labels)
        answer.probabilities[run][:, made.classes_] = made.predict_proba(there)
        answer.account.append({"selection": "nothing is chosen"})
        answer.seconds.append(seconds)
        answer.notes.append(notes)
    return answer
