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

from ser.errors import ConfigError, SerError
from ser.evaluation import record
from ser.evaluation.ensembles import compare_snapshots, evaluate_mean_of_runs, evaluate_views
from ser.evaluation.evaluated_model import EvaluatedModel, find_model
from ser.evaluation.novelty import TrainingUtterances, evaluate_novelty, find_novel
from ser.evaluation.outputs import KINDS, evaluate_outputs, ratings_of, refuse_what_is_of_classes
from ser.evaluation.predictions import EvaluatedPredictions, predictions_to_evaluate
from ser.evaluation.suite import evaluate_suite
from ser.evaluation.votes import compare_with_votes
from ser.explain.explain import HeadFile
from ser.explain.explain import explain as explain_heads
from ser.jsonfile import Time, plain, write_json
from ser.metadata.table import Table, load_table
from ser.results.metrics import evaluation, gaps
from ser.results.metrics.conformal import conformal_sets
from ser.results.records.evaluation import AnyEvaluation, Evaluation, EvaluationOpening
from ser.results.records.gaps import EvaluatedGroups
from ser.train.option import converted
from ser.train.runs.options import option_fields
from ser.train.runs.plan import pick_device, workers
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
        device = pick_device(device)
    space = open_workspace(workspace)
    found = find_model(str(model), space, amount)
    if conformal is not None and not 0 < conformal < 1:
        raise ConfigError(f"--conformal {conformal:g}", expected="a share between 0 and 1, as 0.9")
    of_validation = {"--calibrate": calibrate, "--conformal": conformal is not None}
    if found.learns.kind in KINDS:
        refuse_what_is_of_classes(found, {"--calibrate": calibrate, "--novelty": novelty, "--explain": explain})
    for option, asked in of_validation.items():
        if asked:
            _refuse_calibration(found, option)
    if (views or limits) and not suite:
        raise ConfigError("--views and --limit are of the suite", expected="--suite")
    suite_words = ["suite", *(views or ()), *limits] if suite else []
    examples_shown = examples if explain else 0
    path = record.place(
        found,
        space,
        output,
        dataset=dataset,
        scheme=scheme,
        calibrate=calibrate,
        conformal=conformal,
        tta=tta,
        suite=suite_words,
        novelty=novelty,
        examples=examples_shown,
    )
    features = tta or suite or explain or bool(novelty)
    engine = Engine(workers(jobs, len(found.heads), device), backend, address, space.root)
    predictions = predictions_to_evaluate(found, dataset, scheme, space, device, features, memory, engine)
    if conformal is not None and not len(predictions.held_out):
        raise ConfigError(f"--conformal: {found.name} has no validation predictions", action="Leave --conformal out.")
    table, notes = _table_of(predictions, space)
    notes += record.notes(predictions, calibrate)
    if conformal is not None:
        notes += record.conformal_notes(predictions, conformal)
    files: dict[str, pd.DataFrame] = {} if predictions.own else {"predictions": predictions.test}
    opening = record.opening(predictions, command, table, device)
    spent = Time(started=started.isoformat(timespec="seconds"), seconds=0.0)
    result: AnyEvaluation
    if found.learns.kind in KINDS:
        result, more = evaluate_outputs(predictions, space, opening, notes, spent, conformal, tta)
    else:
        result, more = _evaluate_classes(
            predictions, space, opening, notes, spent, conformal, tta, table=table, calibrate=calibrate
        )
    files |= more
    if suite:
        gender = result.groups.gender if isinstance(result, Evaluation) else result.genders
        speakers = result.groups.speaker if isinstance(result, Evaluation) else None
        gap = None if speakers is None else speakers.gap
        result.suite, files["suite"] = evaluate_suite(predictions, space, views or ["suite"], limits, gender, gap)
    if isinstance(result, Evaluation):
        training = TrainingUtterances(found, space, str(found.scheme or predictions.scheme), device, memory)
        for kind in novelty:
            entry, scores = evaluate_novelty(find_novel(kind, predictions, space), predictions, training)
            result.novelty.append(entry)
            files[f"novelty-{record.safe(kind)}"] = scores
        if explain:
            result.explanations = _explain(predictions, path, examples, say)
    result.files = record.write_tables(path, files)
    spent.seconds = round(time.monotonic() - clock, 3)
    write_json(path, result)
    return plain(result), path


def _evaluate_classes(
    predictions: EvaluatedPredictions,
    space: Workspace,
    opening: EvaluationOpening,
    notes: list[str],
    spent: Time,
    coverage: float | None,
    tta: bool,
    *,
    table: Table | None,
    calibrate: bool,
) -> tuple[Evaluation, dict[str, pd.DataFrame]]:
    """The record of heads on classes, of probabilities calibrated where that was asked for; and tables for beside it.

    Args:
        notes: of the record; one may be added.
        table: with the votes, where there are any.
    """
    model, own, classes = predictions.model, predictions.own, predictions.model.classes
    test, validation, held_out = predictions.test, predictions.validation, predictions.held_out
    temperatures = evaluation.fit_temperatures(held_out, classes) if calibrate else None
    rights, votes = gaps.rights_of(test, classes), None
    if table is not None:
        try:
            votes = compare_with_votes(test, table, predictions.scheme, classes, own, temperatures)
        except SerError as error:
            notes.append(f"no comparison with votes: {error.line()}")
    matrix, per_class = record.counts(predictions)
    found = Evaluation(
        **asdict(opening),
        **evaluation.evaluation_numbers(test, validation, classes, own, temperatures)._asdict(),
        confusion_matrix=matrix,
        per_class=per_class,
        temperature=None if temperatures is None else record.temperatures(predictions, temperatures),
        groups=EvaluatedGroups(gender=gaps.gender_gaps(rights), speaker=gaps.speaker_gaps(rights)),
        ensemble=evaluate_mean_of_runs(test, validation, classes, own, calibrate),
        snapshots=compare_snapshots(predictions),
        average=model.average,
        votes=votes,
        tta=None,
        novelty=[],
        explanations=None,
        ratings=ratings_of(predictions, coverage) or UNSET,
        notes=notes,
        files={},
        time=spent,
    )
    if coverage is not None:
        if temperatures is not None:
            test, held_out = (evaluation.calibrated(rows, classes, temperatures) for rows in (test, held_out))
        found.conformal = conformal_sets(test, held_out, classes, own, coverage)
    if not tta:
        return found, {}
    found.tta, views = evaluate_views(predictions, space, temperatures)
    return found, {"tta": views}


def _refuse_calibration(model: EvaluatedModel, option: str) -> None:
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


def _table_of(predictions: EvaluatedPredictions, space: Workspace) -> tuple[Table | None, list[str]]:
    """The corpus's table, for the votes and facts that it has; without one, a note."""
    if predictions.corpus is not None:
        return predictions.corpus.data.table, []
    try:
        return load_table(predictions.dataset, space), []
    except SerError as error:
        return None, [f"no comparison with votes: {error.line()}"]


def _explain(predictions: EvaluatedPredictions, path: Path, examples: int, say: Callable[[str], None]) -> str:
    """Explain all heads on their test rows, into a folder named after the record; return its file, relative to the record."""
    model, corpus = predictions.model, predictions.features
    files = []
    for (run, fold), rows in model.head_rows(predictions.test):
        where = corpus.positions(list(rows["utterance_id"].unique()))
        files.append(HeadFile(model.heads[run, fold], run, fold, np.sort(where[where >= 0])))
    folder = path.with_name(f"{path.name.removesuffix('.json')}.explanations")
    explain_heads(files, corpus.data, folder, model.name, standardise=corpus.blocks, examples=examples, say=say)
    return f"{folder.name}/explanations.json"
