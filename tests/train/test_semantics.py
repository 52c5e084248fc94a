"""The mathematics of training against recorded predictions: a change of it raises `SEMANTICS` and is recorded again.

    SER_RECORD=1 pytest tests/train/test_semantics.py

writes `semantics.json` anew. It refuses to where the numbers changed and `ser.train.runs.identity.SEMANTICS` did not: the
records of before would be taken for runs of the new mathematics.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.results.stored.runs import read_predictions
from ser.train.experiments.adapt import adapt
from ser.train.experiments.combine import combine
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.finetune import finetune
from ser.train.experiments.fit import fit
from ser.train.runs.identity import SEMANTICS

RECORDED = Path(__file__).with_name("semantics.json")
COMMAND = "SER_RECORD=1 pytest tests/train/test_semantics.py"
TOLERANCE = 2e-5  # of probabilities: with instructions of another CPU they differ by 1e-6, with beta 2 = 0.998 by 3e-5
ROWS = 3  # test utterances whose probabilities are recorded

FEW: dict[str, Any] = {"protocol": "official", "runs": 1, "epochs": 3, "jobs": 1, "batch_size": 16}
SMALL: dict[str, Any] = {**FEW, "epochs": 5, "lr": 1e-2, "head_options": {"hidden": 16}}
THIN: dict[str, Any] = {**FEW, "head_options": {"hidden": 32, "heads": 4}}  # of cross_attention
PAIR: dict[str, Any] = {**SMALL, "selection": "last"}
CASES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "mlp": lambda space: fit("one", space, audio="pooled", modalities="audio", **FEW),
    "mlp, refit": lambda space: fit("one", space, stores="pooled", **{**SMALL, "refit": "always", "normalize": "speaker"}),
    "mlp, focal and prototypes": lambda space: fit(
        "one", space, stores="pooled", loss="cb_focal,prototype:0.1", class_weights="none", clip=0.1, **SMALL
    ),
    "mlp, EMA and mixup": lambda space: fit(
        "one", space, stores="pooled", average="ema", mixup=0.4, feature_noise=0.1, schedule="cosine", **SMALL
    ),
    "mlp, SWA": lambda space: fit("one", space, stores="pooled", **{**SMALL, "average": "swa"}),
    "mlp, snapshots": lambda space: fit("one", space, stores="pooled", **{**SMALL, "snapshots": 2}),
    "mlp, stacked": lambda space: fit("one", space, stores="pooled", stack=3, **{**SMALL, "runs": 3}),
    "cross_attention, pooled": lambda space: fit(
        "one", space, head="cross_attention", stores=["pooled", "sentences"], modality_dropout=0.2, **THIN
    ),
    "cross_attention, frames": lambda space: fit("one", space, head="cross_attention", stores=["frames", "words"], **THIN),
    "mean_linear, masks": lambda space: fit(
        "one", space, head="mean_linear", stores="frames", time_masks="1x2", band_masks="1x2", lr=1e-2, **FEW
    ),
    "late": lambda space: fit("one", space, head="late", stores=["pooled", "sentences"], lr=5e-3, **FEW),
    "adapt": lambda space: adapt("one", "two", space, stores="pooled", methods="dann", **PAIR),
    "adapt, by entropy": lambda space: adapt(
        "one", "two", space, stores="pooled", methods="coral", criterion="entropy", **SMALL
    ),
    "finetune": lambda space: finetune("one", "two", space, stores="pooled", freeze="encoder", **PAIR),
    "fewshot": lambda space: fewshot(
        "two", "one", space, stores="pooled", methods="finetune,simpleshot,scratch", shots=2, tune_epochs=4, **SMALL
    ),
    "combine": lambda space: combine(["one", "two"], space, stores="pooled", **SMALL),
}


@pytest.fixture
def space(maker: Any) -> Any:
    """Two corpora that share a store; one of them has others too."""
    for name in ("one", "two"):
        maker.table(name)
        maker.store(name, "pooled", strength=0.6)
    maker.store("one", "sentences", modality="text", strength=0.6)
    maker.store("one", "frames", framewise=True, strength=0.6)
    maker.store("one", "words", modality="text", framewise=True, vocabulary=13)
    return maker.space


def probabilities(space: Any, record: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Those of a few test utterances of each experiment of a record, by what the study calls it."""
    parts = [p for key in ("variants", "methods") for p in record.get(key, [])]
    parts += [{"name": n, **part["alone"]} for n, part in record.get("datasets", {}).items()]
    files = {part["name"]: space.results / part["record"] for part in parts}
    if "runs" in record:
        files[""] = space.results / f"{record['experiment']}.json"
    found = {}
    for name, path in files.items():
        frame = read_predictions(path)
        test = frame[(frame["split"] == "test") & (frame["run"] == frame["run"].max())]
        columns = [c for c in test.columns if c.startswith("p_")]
        chosen = test[columns].to_numpy(dtype=np.float64)[:: max(1, len(test) // ROWS)][:ROWS]
        found[name] = np.round(chosen, 6).tolist()
    return found


def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"predictions": {}}
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return found.keys() == expected.keys() and all(
        np.shape(found[name]) == np.shape(expected[name]) and np.abs(np.subtract(found[name], expected[name])).max() < TOLERANCE
        for name in found
    )


@pytest.mark.parametrize("case", CASES)
def test_training_gives_the_recorded_predictions(case: str, space: Any) -> None:
    found, before = probabilities(space, CASES[case](space)), recorded()
    expected, number = before["predictions"].get(case), before.get("semantics", SEMANTICS)
    changed = expected is not None and not same(found, expected)
    if os.environ.get("SER_RECORD"):
        if changed and number == SEMANTICS:
            pytest.fail(f"the predictions of {case} changed, and SEMANTICS is {SEMANTICS} still: raise it by one first")
        kept = before["predictions"] if number == SEMANTICS else {}  # of another number, all are recorded again
        RECORDED.write_text(_text({"semantics": SEMANTICS, "predictions": {**kept, case: found}}))
        return
    assert number == SEMANTICS, f"the predictions are of SEMANTICS {number}. Record them again: {COMMAND}"
    assert expected is not None, f"there are no recorded predictions of {case}. Record them: {COMMAND}"
    assert not changed, (
        f"the mathematics of training changed: {case} predicts {found}, recorded is {expected}. If that is meant, raise "
        f"SEMANTICS in ser/train/runs/identity.py by one and record again: {COMMAND}"
    )


def _text(content: dict[str, Any]) -> str:
    """JSON with one list of probabilities on a line."""
    lines = [f'"semantics": {content["semantics"]},', '"predictions": {']
    for number, (case, parts) in enumerate(content["predictions"].items()):
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in parts.items())
        lines.append(f"{json.dumps(case)}: {{\n{rows}\n}}" + ("," if number + 1 < len(content["predictions"]) else ""))
    return "{\n" + "\n".join(lines) + "\n}}\n"


def test_every_case_is_recorded_and_no_other() -> None:
    if not os.environ.get("SER_RECORD"):
        assert list(recorded()["predictions"]) == list(CASES)
