"""`ser results verify`: every number of a record computed again from the stored predictions.

The same functions that wrote the numbers of a summary compute them again: this finds a record, a run or a prediction that was
changed afterwards, a file that is gone, or code that computes something else now. It does not find an error in the functions
themselves; their tests do.
"""

from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any

import pandas as pd
from msgspec import UNSET
from msgspec.structs import asdict, replace

from ser.errors import ConfigError, SerError
from ser.results.metrics.measures import outputs_of
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.data_facts import FoldFacts, data_facts
from ser.results.records.kinds import read_record, read_schema
from ser.results.records.model import CorpusNumbers, FewshotSummary, Summary
from ser.results.records.names import SUMMARY_SCHEMA, config_hash
from ser.results.statistics import paired
from ser.results.statistics.gains import combination_verdict
from ser.results.stored.checked_runs import Runs, read_runs, tested_labels
from ser.results.stored.study_experiments import PARTS, Experiments
from ser.results.stored.summary import FinishedExperiment, summarise_fewshot
from ser.results.stored.verdict import Verdict
from ser.results.studies import StudyRecord, studies
from ser.results.verification.data import verify_corpora_together, verify_data_facts, verify_study_facts
from ser.results.verification.inputs import verify_data
from ser.workers.processes import in_order
from ser.workspace import Workspace


def verify(path: Path, space: Workspace) -> Verdict:
    """Recompute a summary or a study.

    Args:
        path: the record.
        space: where its tables and stores are; of a record in a folder `results`, they are looked for beside that folder.

    Raises:
        ConfigError: the file is missing, is not JSON, or is of a kind with no numbers to recompute.
    """
    schema = read_schema(path, "record")
    known = [SUMMARY_SCHEMA, *studies()]
    if schema not in known:
        raise ConfigError(f"{path} cannot be recomputed", expected=f"schema {', '.join(known)}", found=repr(schema))
    verdict = Verdict(path)
    try:
        record: Any = read_record(path, "record")
    except ConfigError as error:
        found = str(error.found or error.problem)
        place, _, fault = found.partition(": ") if found.startswith("$") else ("$", "", found)
        verdict.add(place, fault, f"a valid record of {schema}")
        return verdict
    verdict.compare(record.config_hash, config_hash(record.config), "$.config_hash")
    beside = Workspace(path.resolve().parent.parent) if path.resolve().parent.name == "results" else space
    try:
        verify_corpora_together(record, verdict)
        if isinstance(record, StudyRecord):
            verify_data(record, beside, verdict)
            experiments = Experiments(path, verdict)
            verify_study_facts(record, experiments, verdict)
            for where, stored, again in record.recomputed(experiments):
                verdict.compare(stored, again, where)
        else:
            _verify_summary(path, record, beside, verdict)
    except SerError as error:
        verdict.add("$", error.line(), "numbers that can be computed again")
    return verdict


def verify_all(folder: Path, space: Workspace, jobs: int = 1) -> Iterator[Verdict]:
    """Verify all summaries and studies of a folder in `jobs` processes; other JSON is passed over, damaged ones are faults."""
    units = [(path, space) for path in sorted(folder.glob("*.json"))]
    results = starmap(_verified, units) if jobs == 1 else in_order(_verified, units, jobs, "verification")
    yield from (verdict for verdict in results if verdict is not None)


def _verified(path: Path, space: Workspace) -> Verdict | None:
    try:
        schema = read_schema(path, "record")
    except ConfigError as error:
        verdict = Verdict(path)
        verdict.add(path.name, error.problem, "a record")
        return verdict
    return verify(path, space) if schema == SUMMARY_SCHEMA or schema in studies() else None


def _verify_summary(path: Path, summary: Summary | FewshotSummary, space: Workspace, verdict: Verdict) -> None:
    runs = read_runs(path, summary, verdict)
    labels = tested_labels(runs.frames) if runs.frames else None
    unchanged = verify_data(summary, space, verdict, labels)
    verify_data_facts(summary, runs, unchanged, space, verdict)
    if not runs.whole:
        verdict.missing.append("the numbers cannot be recomputed without all runs")
        return
    for key, value in _again(path, summary, runs, verdict).items():
        stored = getattr(summary, key)
        if stored is UNSET and value is UNSET:
            continue
        if stored is UNSET:
            verdict.missing.append(f"the record has no {key}: it is of an earlier version")
        else:
            verdict.compare(stored, None if value is UNSET else value, f"$.{key}")


def _again(path: Path, summary: Summary | FewshotSummary, runs: Runs, verdict: Verdict) -> dict[str, Any]:
    """All numbers of the summary, by their keys."""
    classes, predictions = outputs_of(runs.frames[0]), runs.predictions
    if isinstance(summary, FewshotSummary):
        finished = FinishedExperiment("-", "-", {}, {}, [], runs.records, predictions, classes, "", 0.0)
        whole = summarise_fewshot(finished)
        return {"percentages": whole.percentages, "source": whole.source}
    found: dict[str, Any] = asdict(metrics_from_predictions(predictions, classes))
    found["time"] = replace(summary.time, seconds=round(sum(r.seconds for r in runs.records), 3))
    if summary.suspects is not UNSET:
        found["suspects"] = suspects(predictions, classes)
    if summary.datasets is not UNSET:
        found["datasets"] = _corpora(summary, predictions, Experiments(path, verdict))
    return found


def _corpora(summary: Summary, predictions: pd.DataFrame, experiments: Experiments) -> dict[str, CorpusNumbers]:
    """By corpus, the numbers of a head that was trained on several, and of each corpus's own head beside it."""
    found: dict[str, CorpusNumbers] = {}
    experiments.verdict.compare(list(summary.datasets or {}), list(data_facts(summary).datasets), "$.datasets, names")
    for name, part in (summary.datasets or {}).items():
        own = _of_corpus(predictions, name, data_facts(summary).folds)
        numbers = asdict(metrics_from_predictions(own, outputs_of(own)))
        found[name] = replace(part, **numbers)
        runs = experiments.runs(part.alone.record, part.alone.experiment, part.alone.pooled.main.n)
        if runs is not None:
            other = runs.predictions
            again = metrics_from_predictions(other, outputs_of(other))
            found[name].alone = replace(part.alone, **{p: again[p] for p in PARTS})
            compared = asdict(paired.compare(own, other, outputs_of(own)))
            found[name].comparison = replace(part.comparison, **compared)
    adjusted = paired.holm_of_known([part.comparison.p for part in found.values()])
    for part, p in zip(found.values(), adjusted, strict=True):
        c = part.comparison
        # Whether the head draws at random, so that one model of each kind says nothing, is not in the record.
        words = [combination_verdict(c.difference, p, single) for single in (False, c.tests.models is None)]
        part.comparison = replace(c, p_holm=p, verdict=c.verdict if c.verdict in words else words[0])
    return found


def _of_corpus(predictions: pd.DataFrame, name: str, folds: Sequence[FoldFacts]) -> pd.DataFrame:
    """The rows of one corpus in the predictions of a union, in the folds that test it, under the corpus's own names.

    Raises:
        ConfigError: there are none.
    """
    names = {f.name: f.parts[name].fold for f in folds if name in f.parts and f.parts[name].tested}
    if "dataset" not in predictions or not names:
        lacks = "the predictions have no column dataset" if names else "no fold of $.data.folds tests it"
        raise ConfigError(f"$.datasets.{name} cannot be recomputed", found=lacks)
    chosen = (predictions["dataset"] == name) & predictions["fold"].isin(names)
    frame: pd.DataFrame = predictions[chosen].copy()
    frame["fold"] = frame["fold"].map(names)
    for column in ("utterance_id", "speaker"):
        frame[column] = frame[column].str.removeprefix(f"{name}/")
    return frame
