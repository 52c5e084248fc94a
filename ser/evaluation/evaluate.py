"""`evaluate`: everything one asks of trained heads on a cached corpus, and its record."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError, SerError
from ser.evaluation import explanations, parts, record
from ser.evaluation.asked import Asked, ask, table_of
from ser.evaluation.novel import evaluate_novelty, find_novel
from ser.evaluation.subject import find_subject
from ser.evaluation.training import Training
from ser.metadata.table import Table
from ser.results.metrics import evaluation
from ser.schema import EVALUATION, plain, write_json
from ser.train.runs.experiment import open_workspace
from ser.workspace import Workspace


def evaluate(
    model: str | Path,
    workspace: Workspace | str | Path = ".",
    *,
    dataset: str | None = None,
    scheme: str | None = None,
    calibrate: bool = False,
    tta: bool = False,
    novelty: Sequence[str] = (),
    explain: bool = False,
    examples: int = 1,
    amount: str | None = None,
    output: Path | None = None,
    device: str = "cpu",
    command: str = "ser.evaluate",
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate an experiment or a saved head on a cached corpus, and write the record.

    Args:
        model: a summary by name or file, with all its runs and folds; or a saved head's file.
        dataset: None takes the corpus that it was tested on. Of a corpus that it has seen, only the test rows of each
            fold are used; another corpus is predicted by each saved head.
        scheme: label scheme of another corpus; None takes the record's. Classes meet by name.
        calibrate: temperature scaling, fitted on the validation predictions of each run and fold.
        tta: also the mean over the original and the stored views of test-time augmentation.
        novelty: `emotion:NAME`, an emotion of the corpus that the heads were not trained on, or another cached corpus.
        explain: write arrays and pictures of what the heads look at, into a folder beside the record.
        examples: for these, utterances that were recognised, and that were missed, a class.
        amount: of target data, of a few-shot record; None takes the largest.
        output: of the record; None is beside the summary.
        say: told how far explaining has come.

    Returns:
        The record, as written (`evaluation.schema.json`), and its file.

    Raises:
        ConfigError: no such record, head or corpus, or what is asked cannot be told from it; it says what can be done.
        StoreError: features that are not those of the heads.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    space = open_workspace(workspace)
    subject = find_subject(str(model), space, amount)
    if calibrate and subject.summary is None:
        raise ConfigError(
            f"--calibrate: {subject.path} lies without its record, whose validation predictions a temperature needs",
            action="Keep the results folder together, or leave --calibrate out.",
        )
    if calibrate and subject.amount:
        raise ConfigError(
            f"--calibrate: the few-shot heads of {subject.name} have no validation part, for all labelled utterances of the"
            " target were learnt from; nothing is left to fit a temperature on",
            action="Leave --calibrate out, or evaluate an experiment of ser finetune.",
        )
    asked_for = (dataset, scheme, calibrate, tta, novelty, examples if explain else 0)
    path = record.place(subject, space, output, *asked_for)
    asked = ask(subject, dataset, scheme, space, device, features=tta or explain or bool(novelty))
    found = evaluation.temperatures(asked.held, subject.classes) if calibrate else None
    table, notes = table_of(asked, space)
    notes += record.validation_notes(asked, calibrate) + record.head_notes(asked)
    files: dict[str, pd.DataFrame] = {} if asked.own else {"predictions": asked.test}
    result = _plain(asked, found, table, notes)
    if tta:
        result["tta"], files["tta"] = parts.tta_part(asked, space, found)
    training = Training(subject, space, str(subject.scheme or asked.scheme), device)
    for kind in novelty:
        assert asked.source is not None
        novel = find_novel(kind, subject, asked.source, space, asked.scheme, asked.dataset, device)
        entry, scores = evaluate_novelty(novel, subject, asked.test, asked.source, training, asked.own)
        result["novelty"].append(entry)
        files[f"novelty-{record.safe(kind)}"] = scores
    if explain:
        assert asked.source is not None
        result["explanations"] = explanations.write(subject, asked.test, asked.source, path, examples, say)
    document = plain(
        {
            **record.opening(asked, command, table, device),
            **result,
            "notes": notes,
            "files": record.write_tables(path, files),
            "time": {"started": started.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - clock, 3)},
        }
    )
    write_json(path, document, EVALUATION)
    return document, path


def _plain(
    asked: Asked, found: evaluation.Temperatures | None, table: Table | None, notes: list[str]
) -> dict[str, Any]:
    """What follows from the predictions, with the places of what is asked for besides."""
    classes, calibrate = asked.subject.classes, found is not None
    result: dict[str, Any] = {
        **evaluation.numbers(asked.test, asked.validation, classes, asked.own, found),
        **record.counts(asked),
        "temperature": None if found is None else record.temperatures(asked, found),
        "groups": parts.gap_part(asked.test, classes),
        "ensemble": parts.ensemble_part(asked.test, asked.validation, classes, asked.own, calibrate),
        "snapshots": None if asked.source is None else parts.snapshot_part(asked.subject, asked.test, asked.source),
        "average": record.average_of(asked.subject),
        "votes": None,
        "tta": None,
        "novelty": [],
        "explanations": None,
    }
    if table is not None:
        try:
            result["votes"] = parts.soft_part(asked.test, table, asked.scheme, classes, asked.own, found)
        except SerError as error:
            notes.append(f"no comparison with votes: {error.line()}")
    return result
