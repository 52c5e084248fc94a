"""The numbers of a study, and of a summary over several corpora, from the predictions of the experiments it is made of."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.metrics.saved_labels import saved_labels
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.find import read_summary
from ser.results.records.names import ABLATION_SCHEMA, FEWSHOT_SCHEMA, MATRIX_SCHEMA, SEARCH_SCHEMA, amount_value
from ser.results.records.summary import amounts_of
from ser.results.report import matrices
from ser.results.statistics import gains, paired
from ser.results.statistics.choices import nested
from ser.results.verification.retrace import Runs, classes_of, retrace
from ser.results.verification.verdict import Verdict

Numbers = Iterator[tuple[str, Any, Any]]
PARTS = ("validation", "test", "pooled")


def study_numbers(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    """Place, stored and recomputed value of all numbers of a study. An experiment that is gone is a fault of its own."""
    of: dict[str, Callable[[Path, dict[str, Any], Verdict], Numbers]] = {
        ABLATION_SCHEMA: _ablation,
        SEARCH_SCHEMA: _search,
        MATRIX_SCHEMA: _matrix,
        FEWSHOT_SCHEMA: _fewshot,
    }
    yield from of.get(study["schema"], _transfer)(path, study, verdict)


def _runs(path: Path, row: dict[str, Any], number: int, verdict: Verdict) -> Runs | None:
    """The first runs of an experiment, as many as the study was made of; None where they are not all there."""
    file = path.parent / row["record"]
    try:
        summary = read_summary(file)
    except ConfigError as error:
        verdict.add(row["record"], error.problem, "the summary of an experiment")
        return None
    verdict.compare(row["experiment"], summary["experiment"], f"{row['record']} $.experiment")
    found = retrace(file, summary, verdict).upto(number)
    return found if found.whole and found.frames else None


def _each(path: Path, rows: Sequence[dict[str, Any]], verdict: Verdict) -> dict[str, Runs] | None:
    """The runs of all variants, by name; None where one is not there."""
    found = {row["name"]: _runs(path, row, row["pooled"]["UA"]["n"], verdict) for row in rows}
    whole = {name: runs for name, runs in found.items() if runs is not None}
    if len(whole) < len(found):
        verdict.missing.append("the comparisons cannot be recomputed without all experiments")
    return whole


def _parts(where: str, stored: dict[str, Any], again: dict[str, Any], parts: Sequence[str] = PARTS) -> Numbers:
    yield from ((f"{where}.{part}", stored[part], again[part]) for part in parts)


def _ablation(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    runs = _each(path, study["variants"], verdict) or {}
    frames = {name: r.predictions for name, r in runs.items()}
    for k, row in enumerate(study["variants"]):
        if row["name"] in frames:
            yield from _parts(f"$.variants[{k}]", row, _numbers(frames[row["name"]]))
    if len(frames) == len(study["variants"]):
        classes = classes_of(frames[study["full"]])
        yield "$.comparisons", study["comparisons"], gains.against(study["full"], frames, classes)


def _numbers(frame: pd.DataFrame) -> dict[str, Any]:
    return metrics_from_predictions(frame, classes_of(frame))


def _transfer(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    runs = _each(path, study["variants"], verdict) or {}
    frames = {name: r.predictions for name, r in runs.items()}
    for k, row in enumerate(study["variants"]):
        if row["name"] in frames:
            yield from _parts(f"$.variants[{k}]", row, _numbers(frames[row["name"]]))
            if row.get("selection_score") is not None:
                score = _selection_score(row["selection"], runs[row["name"]])
                yield f"$.variants[{k}].selection_score", row["selection_score"], score
    if len(frames) < len(study["variants"]):
        return
    by_method = {row["method"]: row["name"] for row in study["variants"]}
    classes = list(study["data"]["label_space"]["classes"])
    oracle = by_method.get("oracle", "")
    yield "$.comparisons", study["comparisons"], gains.comparisons(frames, classes, by_method["none"], oracle)
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in study["variants"]:  # heads that have seen no label of the target
        if row["method"] == "none" or (study["task"] == "adapt" and row["method"] != "oracle"):
            for suspect in suspects(frames[row["name"]], classes):
                found.setdefault(tuple(suspect["classes"]), {**suspect, "variant": row["name"]})
    yield "$.suspects", study["suspects"], list(found.values())


def _selection_score(selection: str, runs: Runs) -> float | None:
    """What picked the epochs, at the epochs picked: mean over runs and folds."""
    word = selection.removeprefix("source ")
    values = [
        r["curves"][name][r["best_epoch"] - 1]
        for r in runs.records
        for name in (f"selection_{word}", f"validation_{word}")
        if name in r.get("curves", {}) and r["best_epoch"]
    ]
    return sum(values) / len(values) if values else None


def _search(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    done: list[Runs] = []
    for k, row in enumerate(study["settings"]):
        found = None
        if row["record"] is not None:
            found = _runs(path, row, row["validation"]["UA"]["n"], verdict)
        done.append(found or Runs())
        if found:
            yield f"$.settings[{k}].validation", row["validation"], _numbers(found.predictions)["validation"]
    chosen = study["chosen"]
    of = next((d for row, d in zip(study["settings"], done, strict=True) if row["setting"] == chosen["setting"]), None)
    if of is None or not of.frames:
        return
    yield from _parts("$.chosen", chosen, _numbers(of.predictions))
    best = max((r for r in study["settings"] if r["validation"]), key=lambda r: r["validation"]["UA"]["mean"])
    yield "$.chosen.setting", chosen["setting"], best["setting"]
    if "nested" in study:
        settings = [row["setting"] for row in study["settings"]]
        yield "$.nested", study["nested"], nested(settings, [d.pairs() for d in done], classes_of(of.frames[0]))


def _matrix(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    read: dict[str, Runs | None] = {}
    for k, cell in enumerate(study["cells"]):
        if cell["record"] not in read:
            read[cell["record"]] = _runs(path, cell, cell["pooled"]["UA"]["n"], verdict)
        runs = read[cell["record"]]
        if runs is None:
            continue
        frame = runs.predictions
        frame = frame if cell["fold"] is None else frame[frame["fold"] == cell["fold"]]
        again = _numbers(frame)
        yield from _parts(f"$.cells[{k}]", cell, again, ("validation", "pooled"))
        tested = int(sum(c["support"] for c in again["per_class"].values()))
        yield f"$.cells[{k}].utterances", cell["utterances"], tested
        yield f"$.cells[{k}].suspects", cell["suspects"], suspects(frame, classes_of(frame))
    for side in ("source", "target"):
        yield f"$.{side}s", study[f"{side}s"], matrices.means(study["cells"], study["datasets"], side)


def _fewshot(path: Path, study: dict[str, Any], verdict: Verdict) -> Numbers:
    rows = [{**m, "pooled": m["curve"][0]["pooled"]} for m in study["methods"]]
    runs = _each(path, rows, verdict) or {}
    source = None
    for k, method in enumerate(study["methods"]):
        if method["name"] not in runs:
            continue
        frame = runs[method["name"]].predictions
        names = amounts_of(frame)
        for i, point in enumerate(method["curve"]):
            again = _numbers(frame[names == point["amount"]])
            yield from _parts(f"$.methods[{k}].curve[{i}]", point, again, ("test", "pooled"))
        if source is None and (names == "0%").any():
            source = _numbers(frame[names == "0%"])
    if study["source"] is not None and source is not None:
        yield from _parts("$.source.zero_shot", study["source"]["zero_shot"], source, ("test", "pooled"))
        yield "$.source.validation", study["source"]["validation"], source["validation"]
    if len(runs) == len(study["methods"]):
        done = {m["name"]: runs[m["name"]].pairs() for m in study["methods"]}
        classes = classes_of(next(iter(runs.values())).frames[0])
        yield "$.comparisons", study["comparisons"], gains.by_amount(done, classes)
    yield "$.saved_labels", study["saved_labels"], _saved(study)


def _saved(study: dict[str, Any]) -> list[dict[str, Any]]:
    scores = {m["name"]: {p["amount"]: p["pooled"]["UA"]["mean"] for p in m["curve"]} for m in study["methods"]}
    zero = study["source"]["zero_shot"]["pooled"]["UA"]["mean"] if study["source"] else None
    scratch = scores.pop("scratch", {})
    return saved_labels(scores, dict(sorted(scratch.items(), key=lambda item: amount_value(item[0]))), zero)


def union_numbers(
    path: Path, summary: dict[str, Any], predictions: pd.DataFrame, classes: list[str], verdict: Verdict
) -> dict[str, Any]:
    """By corpus, the numbers of a head that was trained on several, and of each corpus's own head beside it."""
    found: dict[str, Any] = {}
    stored = summary["datasets"]
    for name, part in stored.items():
        own = _own(predictions, name, summary["data"]["folds"])
        found[name] = {**part, **_numbers(own)}
        runs = _runs(path, part["alone"], part["alone"]["pooled"]["UA"]["n"], verdict)
        if runs is not None:
            other = runs.predictions
            again = _numbers(other)
            found[name]["alone"] = {**part["alone"], **{p: again[p] for p in PARTS}}
            verdicts = {"verdict": part["comparison"]["verdict"]}
            found[name]["comparison"] = {**paired.compare(own, other, classes), **verdicts}
    whole = [found[name]["comparison"] for name in found]
    for name, comparison in zip(found, paired.with_holm(whole), strict=True):
        found[name]["comparison"] = comparison
    return found


def _own(predictions: pd.DataFrame, name: str, folds: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A corpus's rows of the union's predictions in the folds that test it, under its own names."""
    names = {f["name"]: f["parts"][name]["fold"] for f in folds if f["parts"][name]["tested"]}
    chosen = (predictions["dataset"] == name) & predictions["fold"].isin(names)
    frame: pd.DataFrame = predictions[chosen].copy()
    frame["fold"] = frame["fold"].map(names)
    for column in ("utterance_id", "speaker"):
        frame[column] = frame[column].str.removeprefix(f"{name}/")
    return frame
