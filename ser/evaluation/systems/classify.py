"""`ser classify`: a ready-made classifier on a corpus becomes a record."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ser.evaluation.systems.answers import Answers
from ser.evaluation.systems.label_map import unused_labels
from ser.evaluation.systems.recording import ERROR, RecordOptions, System, write_answers
from ser.extract.classifiers import load_classifier
from ser.extract.extraction import extract
from ser.extract.options import EncoderOptions
from ser.extract.store_update import ExtractionReport
from ser.features.stores.names import CLASSES
from ser.features.tensors import load_tensors
from ser.metadata.build import ensure_table
from ser.metadata.folds.fold import FoldOptions
from ser.results.result import Result
from ser.workers.threads import cores
from ser.workspace import Workspace, open_workspace


def classify(
    dataset: str,
    model: str,
    workspace: Workspace | str | Path = ".",
    *,
    root: Path | None = None,
    scheme: str | int = "4",
    protocol: str | None = None,
    folds: FoldOptions | None = None,
    labels: Mapping[str, str | None] | None = None,
    device: str = "auto",
    dtype: str = "float32",
    weights: Path | None = None,
    revision: str | None = None,
    batch_seconds: float | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    output: Path | None = None,
    quiet: bool = True,
    command: str = "ser.classify",
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Result, ExtractionReport]:
    """Ask a ready-made classifier about all audio of a dataset, keep its probabilities, and write the record.

    Args:
        model: a short name (`emotion2vec-plus-base`), a hub id or a folder, see `ser.extract.classifiers`.
        root: the corpus folder; where the audio lies.
        scheme, protocol, folds: as of `ser fit`.
        labels: label of the classifier -> class, emotion, or None for no class.
        device, dtype, weights, revision, batch_seconds, jobs, overwrite: as of `ser extract`.
        output: the file of the record; None names it after the classifier.
        say: called with each line that a user should see.

    Returns:
        The summary, as written, and the report on the probabilities.

    Raises:
        ConfigError, CorpusError, EncoderError, StoreError: the classifier, its labels or the audio do not fit.
    """
    begin, space = time.monotonic(), open_workspace(workspace)
    table = ensure_table(dataset, space, root, say=say, quiet=quiet)
    asked: dict[str, Any] = {"device": device, "dtype": dtype, "weights": weights, "revision": revision}
    loaded = load_classifier(model, EncoderOptions(**asked, batch_seconds=batch_seconds, announce=say))
    (report,) = extract(table, loaded, space, jobs=jobs or cores(), quiet=quiet, overwrite=overwrite, say=say)
    data = load_tensors(dataset, space, scheme=scheme, stores=loaded.name)
    shares = data.blocks[0].values.astype(np.float64)
    count = len(shares)
    answers = Answers(
        ids=list(data.frame["utterance_id"]),
        runs=[0] * count,
        folds=[""] * count,
        splits=[""] * count,
        labels=[""] * count,
        names=loaded.labels,
        shares=shares,
        of_every_part=True,
    )
    options = RecordOptions(
        scheme=str(scheme),
        protocol=protocol,
        folds=folds or FoldOptions(),
        labels=labels or {},
        missing=ERROR,
        output=output,
        command=command,
        seconds=time.monotonic() - begin,
        device=loaded.device,
    )
    system = System("classify", loaded.name.removesuffix(CLASSES), {"model": loaded.identity["model"]}, ())
    result, _ = write_answers(answers, data, system, options, space, loaded.name)
    for remark in unused_labels(labels or {}, answers.words):
        say(remark)
    return result, report
