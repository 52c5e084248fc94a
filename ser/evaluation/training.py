"""Embeddings of the utterances that each head was trained on: those of its corpora that are in no other part of its fold."""

import numpy as np

from ser.errors import SerError
from ser.evaluation.outputs import Floats, Rows, Source
from ser.evaluation.predicting import load_for
from ser.evaluation.subject import Key, Subject
from ser.train.checkpoint import SavedHead
from ser.workspace import Workspace


class Training:
    """The training utterances of each head, for the scores that learn from them.

    Args:
        scheme: of the record.
    """

    def __init__(self, subject: Subject, space: Workspace, scheme: str, device: str) -> None:
        self.subject, self.space, self.scheme, self.device = subject, space, scheme, device
        self._sources: dict[str, Source] = {}
        self.notes: dict[str, None] = {}

    def embeddings(self, key: Key, head: SavedHead) -> tuple[Floats, Rows] | None:
        """Embeddings `(m, E)` and class numbers `(m,)`; None, with a note, where the rows are not known."""
        if self.subject.summary is None:
            self._note("the head lies without its record: its training utterances are not known")
            return None
        held = set(self.subject.rows_of(key)["utterance_id"])
        found, labels = [], []
        try:
            for corpus in str(head.about["dataset"]).split("+"):
                source = self._source(corpus)
                ids = source.data.frame["utterance_id"]
                rows = np.flatnonzero([i not in held and f"{corpus}/{i}" not in held for i in ids])
                vectors = source.outputs(head, rows, embeddings=True).embeddings
                if vectors is None:
                    self._note("the head reads ids of words and offers no embedding")
                    return None
                found.append(vectors)
                labels.append(source.data.labels[rows])
        except SerError as error:
            self._note(f"the training features cannot be read: {error.line()}")
            return None
        n = self.subject.record(key)["n"]
        count = sum(map(len, labels))
        if count not in (n["train"], n["train"] + n.get("before", 0)):
            self._note(f"{count} utterances were neither validation nor test, and {n['train']} trained on")
            return None
        return np.concatenate(found), np.concatenate(labels)

    def _source(self, corpus: str) -> Source:
        if corpus not in self._sources:
            self._sources[corpus] = Source(load_for(self.subject, corpus, self.space, self.scheme), self.device)
        return self._sources[corpus]

    def _note(self, reason: str) -> None:
        self.notes[f"no mahalanobis, no knn: {reason}"] = None
