"""`ser evaluate`: evaluate trained heads on a cached corpus, and write the record."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec import UNSET
from msgspec.structs import asdict

from ser.accelerator import pick_device
from ser.errors import ConfigError, SerError
from ser.evaluation import record
from ser.evaluation.ensembles import compare_snapshots, evaluate_mean_of_runs, evaluate_views
from ser.evaluation.evaluated_model import EvaluatedModel, EvaluationOptions, find_model
from ser.evaluation.head_outputs import Resources
from ser.evaluation.novelty import TrainingUtterances, evaluate_novelty, find_novel
from ser.evaluation.outputs import KINDS, evaluate_outputs, ratings_of
from ser.evaluation.predictions import EvaluatedPredictions, predictions_to_evaluate
from ser.evaluation.suite import evaluate_suite
from ser.evaluation.votes import compare_with_votes
from ser.explain.explain import HeadFile
from ser.explain.explain import explain as explain_heads
from ser.jsonfile import Time, plain, write_json
from ser.metadata.table import Table, load_table
from ser.results.metrics import evaluation, gaps
from ser.results.metrics.conformal import conformal_sets
from ser.results.records.evaluation import AnyEvaluation, Evaluation
from ser.results.records.gaps import EvaluatedGroups
from ser.train.option import converted
from ser.train.runs.options import option_fields
from ser.train.runs.plan import workers
from ser.workers.engine import CLUSTERS, LOCAL, Engine, refuse_contradictions
from ser.workspace import Workspace, open_workspace


def evaluate(
    model: str | Path,
    workspace: Workspace | str | Path = ".",
    *,
    dataset: str | None = None,
    scheme: str | None = None,
    calibrate: bool = False,
    conformal: float | None = None,
    tta: bool = False,
    suite: bool = False,
    views: Sequence[str] | None = None,
    limits: Sequence[str] = (),
    novelty: Sequence[str] = (),
    explain: bool = False,
    examples: int = 1,
    amount: str | None = None,
    output: Path | None = None,
    device: str = "cpu",
    memory: float | None = None,
    jobs: int | None = None,
    backend: str = LOCAL,
    address: str | None = None,
    command: str = "ser.evaluate",
    say: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Any], Path]:
    """Evaluate an experiment or a saved head on a cached corpus, and write the record.

    Args:
        model: a summary by name or file, with all its runs and folds; or a saved head's file.
        dataset: None takes the corpus that it was tested on. Of a corpus that it has seen, only the test rows of each
            fold are used; another corpus is predicted by each saved head.
        scheme: label scheme of another corpus; None takes the record's. Classes are matched by name.
        calibrate: temperature scaling, fitted on the validation predictions of each run and fold.
        conformal: also make sets of classes that are to hold the true one with this frequency, as 0.9, from the validation
            predictions of each run and fold; of dimensions intervals that are to hold the rated value, of several labels sets
            of yes and no for each.
        tta: also evaluate the mean over the original and the stored views of test-time augmentation.
        suite: also check robustness on stored views of the test audio, gaps between groups, and consistency over speakers.
        views: for these, the conditions; None takes those of `ser extract --views suite`.
        limits: for these, `NAME=NUMBER`; see `ser.results.metrics.suite.LIMITS`.
        novelty: `emotion:NAME`, an emotion of the corpus that the heads were not trained on, or another cached corpus.
        explain: write arrays and pictures that explain the heads, into a folder beside the record.
        examples: for these, the number of utterances of each class that were recognised, and that were missed.
        amount: of target data, of a few-shot record; None takes the largest.
        output: the file of the record; None is beside the summary.
        memory: GiB that the features of a corpus may take; larger ones stay on disk, and are read as they are needed.
        jobs: worker processes, for heads that take long enough; None is one for each core.
        backend, address: the workers that heads run in, as of `ser.fit`; explanations are made in this process.
        say: receives the progress of explaining.

    Returns:
        The record, as written, and its file.

    Raises:
        ConfigError: there is no such record, head or corpus, or the answer does not follow from it; the message says what
            can be done.
        StoreError: features that are not those of the heads.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    device = str(converted(option_fields()["device"], device))
    refuse_contradictions(jobs, backend, address, device)
    if backend not in CLUSTERS or device == "auto":  # the workers of a cluster may have a GPU that this machine has not
        device = pick_device(device, every=True)
    space = open_workspace(workspace)
    found = find_model(str(model), space, amount)
    options = EvaluationOptions(dataset, scheme, calibrate, conformal, tta, suite, views, limits, novelty, explain, examples)
    _refuse(found, options)
    path = record.place(found, space, output, options)
    engine = Engine(workers(jobs, len(found.heads), device), backend, address, space.root)
    predictions = predictions_to_evaluate(found, options, Resources(space, device, memory, engine))
    if conformal is not None and not len(predictions.held_out):
        raise ConfigError(f"--conformal: {found.name} has no validation predictions", action="Leave --conformal out.")
    table, notes = _table_of(predictions)
    notes += record.notes(predictions, options)
    files: dict[str, pd.DataFrame] = {} if predictions.own else {"predictions": predictions.test}
    spent = Time(started=started.isoformat(timespec="seconds"), seconds=0.0)
    opening = record.opening(predictions, command, table)
    fields = {**asdict(opening), "notes": notes, "files": {}, "time": spent}
    result: AnyEvaluation
    if found.learns.kind in KINDS:
        result, more = evaluate_outputs(predictions, options, fields)
    else:
        result, more = _evaluate_classes(predictions, options, fields, table)
    files |= more
    if suite:
        result.suite, files["suite"] = evaluate_suite(predictions, options, result)
    if isinstance(result, Evaluation):
        training = TrainingUtterances(found, str(found.scheme or predictions.scheme), predictions.resources)
        for kind in novelty:
            entry, scores = evaluate_novelty(find_novel(kind, predictions), predictions, training)
            result.novelty.append(entry)
            files[f"novelty-{record.safe(kind)}"] = scores
        if explain:
            result.explanations = _explain(predictions, path, examples, say)
    result.files = record.write_tables(path, files)
    spent.seconds = round(time.monotonic() - clock, 3)
    write_json(path, result)
    return plain(result), path


def _refuse(model: EvaluatedModel, options: EvaluationOptions) -> None:
    """Refuse options that do not go together, or not with these heads."""
    if options.conformal is not None and not 0 < options.conformal < 1:
        raise ConfigError(f"--conformal {options.conformal:g}", expected="a share between 0 and 1, as 0.9")
    of_classes = {"--calibrate": options.calibrate, "--novelty": options.novelty, "--explain": options.explain}
    for option, given in of_classes.items():
        if given and model.learns.kind in KINDS:
            raise ConfigError(
                f"{option} is of heads on classes, and {model.name} learned {model.learns.text}", action=f"Leave {option} out."
            )
    of_validation = {"--calibrate": options.calibrate, "--conformal": options.conformal is not None}
    for option in (name for name, given in of_validation.items() if given):
        if model.summary is None:
            raise ConfigError(
                f"{option}: {model.path} lies without its record, whose validation predictions it needs",
                action=f"Keep the results folder together, or leave {option} out.",
            )
        if model.amount:
            raise ConfigError(
                f"{option}: the few-shot heads of {model.name} have no validation part, as they learned from all labelled"
                " utterances of the target; nothing is left to calibrate on",
                action=f"Leave {option} out, or evaluate an experiment of ser finetune.",
            )
    if (options.views or options.limits) and not options.suite:
        raise ConfigError("--views and --limit are of the suite", expected="--suite")
    if options.examples != 1 and not options.explain:
        raise ConfigError(f"--examples {options.examples} is of explanations", expected="--explain", option="examples")


def _evaluate_classes(
    predictions: EvaluatedPredictions, options: EvaluationOptions, fields: dict[str, Any], table: Table | None
) -> tuple[Evaluation, dict[str, pd.DataFrame]]:
    """The record of heads on classes, and tables for beside it; `fields` are those that all evaluations have."""
    model, own, classes = predictions.model, predictions.own, predictions.model.classes
    test, validation, held_out = predictions.test, predictions.validation, predictions.held_out
    temperatures = evaluation.fit_temperatures(held_out, classes) if options.calibrate else None
    rights = gaps.rights_of(test, classes)
    matrix, per_class = record.counts(predictions)
    found = Evaluation(
        **fields,
        **evaluation.evaluation_numbers(test, validation, classes, own, temperatures)._asdict(),
        confusion_matrix=matrix,
        per_class=per_class,
        temperature=None if temperatures is None else record.temperatures(predictions, temperatures),
        groups=EvaluatedGroups(gender=gaps.group_gaps(rights), speaker=gaps.speaker_gaps(rights)),
        ensemble=evaluate_mean_of_runs(predictions, options.calibrate),
        snapshots=compare_snapshots(predictions),
        average=model.average,
        votes=None,
        tta=None,
        novelty=[],
        explanations=None,
        ratings=ratings_of(predictions, options.conformal) or UNSET,
    )
    if table is not None:
        try:
            found.votes = compare_with_votes(predictions, table, temperatures)
        except SerError as error:
            found.notes.append(f"no comparison with votes: {error.line()}")
    if options.conformal is not None:
        if temperatures is not None:
            test, held_out = (evaluation.calibrated(rows, classes, temperatures) for rows in (test, held_out))
        found.conformal = conformal_sets(test, held_out, classes, own, options.conformal)
    if not options.tta:
        return found, {}
    found.tta, views = evaluate_views(predictions, temperatures)
    return found, {"tta": views}


def _table_of(predictions: EvaluatedPredictions) -> tuple[Table | None, list[str]]:
    """The corpus's table, for the votes and facts that it has; without one, a note."""
    if predictions.corpus is not None:
        return predictions.corpus.data.table, []
    try:
        return load_table(predictions.dataset, predictions.space), []
    except SerError as error:
        return None, [f"no comparison with votes: {error.line()}"]


def _explain(predictions: EvaluatedPredictions, path: Path, examples: int, say: Callable[[str], None]) -> str:
    """Explain all heads on their test rows, into a folder named after the record; return its file, relative to the record."""
    model, corpus = predictions.model, predictions.features
    files = []
    for (run, fold), rows in model.head_rows(predictions.test):
        where = corpus.positions(list(rows["utterance_id"].unique()))
        files.append(HeadFile(model.heads[run, fold], run, fold, np.sort(where[where >= 0])))
    folder = record.beside(path, record.EXPLANATIONS)
    explain_heads(files, corpus.data, folder, model.name, standardise=corpus.blocks, examples=examples, say=say)
    return f"{folder.name}/explanations.json"
