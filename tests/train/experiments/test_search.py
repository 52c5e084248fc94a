"""Searching settings: validation chooses, test scores of the others stay where they are, failures are named."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser.cli import main
from ser.errors import ConfigError, SerError, StoreError, TrainingError
from ser.jsonfile import plain
from ser.results.records.kinds import read_record, read_summary
from ser.results.report.compose import text_of
from ser.results.statistics.chosen_setting import best_setting
from ser.results.stored.runs import read_predictions
from ser.results.verification.verify import verify
from ser.train.experiments import halving
from ser.train.experiments.fit import fit
from ser.train.experiments.search import search
from ser.train.experiments.search_space import Range, parse_grid, settings, training_of
from ser.train.runs import scheduler
from ser.train.runs.halving import Race, Referee, Rungs, Scores
from ser.workspace import Workspace
from tests.conftest import PACKAGE, Maker

FAST: dict[str, Any] = {"epochs": 6, "runs": 2, "protocol": "speaker", "folds": 3, "jobs": 1}


def test_what_a_grid_says() -> None:
    assert parse_grid(["lr=1e-3,1e-4", "schedule=constant", "clip=0:2", "lr2=1e-4:1e-2:log", "epochs=10:20"]) == {
        "lr": [1e-3, 1e-4],
        "schedule": ["constant"],
        "clip": Range(0, 2, False, True),
        "lr2": Range(1e-4, 1e-2, True, False),
        "epochs": Range(10, 20, False, True),
    }
    assert parse_grid(["loss=[cross_entropy,cb_focal:0.3],supcon", "class_weights=balanced,none"]) == {
        "loss": ["cross_entropy,cb_focal:0.3", "supcon"],
        "class_weights": ["balanced", "none"],
    }
    for wrong in (["lr"], ["=1"], ["lr="], ["lr=1,2", "lr=3"], ["lr=2:1"], ["lr=0:1:log"]):
        with pytest.raises(ConfigError):
            parse_grid(wrong)


def test_settings_are_all_combinations_or_draws_of_a_seed() -> None:
    assert len(settings({"lr": [1, 2, 3], "head.hidden": ["8", (4, 4)]})) == 6
    assert {s["head.hidden"] for s in settings({"head.hidden": [8, (4, 4)]})} == {8, "4,4"}
    drawn = settings({"lr": "1e-4:1e-1:log", "epochs": "5:9", "clip": "0.5:1"}, 200, seed=1)
    assert drawn == settings({"lr": "1e-4:1e-1:log", "epochs": "5:9", "clip": "0.5:1"}, 200, seed=1)
    assert drawn != settings({"lr": "1e-4:1e-1:log", "epochs": "5:9", "clip": "0.5:1"}, 200, seed=2)
    assert {s["epochs"] for s in drawn} == {5, 6, 7, 8, 9}
    rates = np.log10([s["lr"] for s in drawn])
    assert rates.min() > -4
    assert rates.max() < -1
    assert [float(q) for q in np.quantile(rates, [0.25, 0.5, 0.75])] == pytest.approx([-3.25, -2.5, -1.75], abs=0.3)
    assert len(settings({"lr": [1, 2]}, 10)) == 2
    with pytest.raises(ConfigError, match="--random 20"):
        settings({"lr": "1e-4:1e-2"})
    with pytest.raises(ConfigError, match="nothing to search"):
        settings({}, 3)
    with pytest.raises(ConfigError, match="--grid lr has no values"):
        settings({"lr": [], "clip": [1]})


def test_a_setting_goes_to_training_and_to_the_head() -> None:
    given = {"epochs": 3, "head_options": {"dropout": 0.1}, "clip": None}
    assert training_of({"lr": 1e-3, "head.hidden": 8, "batch-size": 4}, given) == {
        "epochs": 3,
        "lr": 1e-3,
        "batch_size": 4,
        "head_options": {"dropout": 0.1, "hidden": 8},
    }
    for key in ("epochs", "head.dropout"):
        with pytest.raises(ConfigError, match=f"{key} is given and searched"):
            training_of({key: 1}, given)
    for key in ("target", "adapt", "freeze", "normalize", "runs", "lrr"):  # of other commands, of all settings, of none
        with pytest.raises(ConfigError, match=f"unknown option of a search '{key}'; expected one of head, loss, .*head.OPTION"):
            training_of({key: "votes"}, {})


def test_validation_chooses_and_other_test_scores_are_not_told(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", strength=0.6)
    found = search("toy", maker.space, grid={"lr": [1e-6, 1e-2], "head.hidden": [8]}, **FAST)
    assert found == json.loads(json.dumps(found))
    path = maker.space.results / f"{found['experiment']}.json"
    assert plain(read_record(path)) == found
    assert (found["tried"], found["failed"]) == (2, 0)
    assert found["chosen"]["setting"] == {"lr": 1e-2, "head.hidden": 8}
    summaries = [plain(read_summary(path.parent / s["record"])) for s in found["settings"]]
    for row, summary in zip(found["settings"], summaries, strict=True):
        assert row["validation"] == summary["validation"]
        assert not {"test", "pooled"} & set(row)
    assert found["chosen"]["pooled"] == summaries[1]["pooled"]
    told = text_of(found, path)
    assert f"{summaries[1]['pooled']['UA']['mean']:.3f}" in told
    for part in ("test", "pooled"):
        assert f"{summaries[0][part]['UA']['mean']:.3f} ±" not in told.replace(
            f"{summaries[0]['validation']['UA']['mean']:.3f} ±", ""
        )
    assert "2 settings tried" in told
    stamps = " ".join(found["stamps"])
    assert "chosen among 2 settings by validation UA" in stamps
    assert "nested ones are not" in stamps


def test_nested_scores_are_of_settings_chosen_fold_by_fold(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", strength=0.3)
    grid = {"head.max_depth": [1, 3], "head.n_estimators": [2, 5]}
    found = search(
        "toy", maker.space, grid=grid, head="sklearn:RandomForestClassifier", runs=2, protocol="speaker", folds=3, jobs=1
    )
    rows = found["settings"]
    frames = []
    for row in rows:
        path = maker.space.results / row["record"]
        frames.append(read_predictions(path))
    hits: list[pd.DataFrame] = []
    for fold in frames[0]["fold"].unique():
        values = []
        for frame in frames:
            own = frame[(frame["fold"] == fold) & (frame["split"] == "validation")]
            by_run = [recall_score(r["true"], r["predicted"], average="macro") for _, r in own.groupby("run")]
            values.append(float(np.mean(by_run)))
        best = int(np.argmax(np.round(values, 12)))
        assert found["nested"]["settings"][fold] == rows[best]["setting"]
        hits.append(frames[best][(frames[best]["fold"] == fold) & (frames[best]["split"] == "test")])
    tested = pd.concat(hits)
    assert found["nested"]["pooled"]["WA"]["mean"] == pytest.approx((tested["true"] == tested["predicted"]).mean())


def test_settings_are_ordinary_experiments_and_are_resumed(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    first = fit("toy", maker.space, lr=1e-2, **FAST)
    trained: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, units: Any, engine: Any) -> Any:
        trained.extend(units)
        return real(function, units, engine)

    monkeypatch.setattr(scheduler, "run_units", counting)
    found = search("toy", maker.space, grid={"lr": [1e-2, 1e-3, 1e-2]}, **FAST)
    assert found["tried"] == 2
    assert found["settings"][0]["experiment"] == first["experiment"]
    assert len(trained) == 3
    assert {u[0].recipe.lr for u in trained} == {1e-3}
    trained.clear()
    again = search("toy", maker.space, grid={"lr": [1e-2, 1e-3]}, **FAST)
    assert trained == []
    assert again["chosen"] == found["chosen"]


def test_a_setting_that_fails_is_named_and_the_others_go_on(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy")
    grid = ["--grid", "head.kernel=precomputed,linear", "--grid", "head.C=1"]
    base = ["fit", "--workspace", str(maker.space.root), "--runs", "1", "--jobs", "1", "--head", "sklearn:SVC"]
    assert main([*base, *grid]) == 3
    said = capsys.readouterr().out
    assert "  - head.C=1 head.kernel=precomputed: sklearn:SVC: Precomputed matrix" in said
    assert "1 failed" in said
    (path,) = maker.space.results.glob("search-toy-sklearn-SVC-*.json")
    rows = plain(read_record(path))["settings"]
    assert [r["record"] is None for r in rows] == [True, False]
    assert main(["results", "show", path.stem, "--workspace", str(maker.space.root)]) == 0
    assert "chosen" in capsys.readouterr().out
    assert main(["results", "show", path.stem, "--format", "csv", "--workspace", str(maker.space.root)]) == 0
    assert f"{path.stem},chosen,pooled,UA," in capsys.readouterr().out
    assert main([*base, "--grid", "head.C=1,2", "--head-option", "C=3"]) == 2
    assert "head.C is given and searched" in capsys.readouterr().err
    assert main([*base, "--random", "3"]) == 2
    assert "nothing to search" in capsys.readouterr().err
    assert main(["results", "list", "--workspace", str(maker.space.root)]) == 0


def test_a_setting_that_is_refused_before_training_fails_alone(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    found = search("toy", maker.space, grid={"head": ["linear", "mlp"], "head.hidden": [8]}, **FAST)
    assert found["failed"] == 1
    assert "unknown option of head linear: 'hidden'" in found["settings"][0]["error"]
    with pytest.raises(SerError, match="unknown option of a search 'rate'"):
        search("toy", maker.space, grid={"rate": [1, 2]}, **FAST)
    with pytest.raises(
        ConfigError, match=r"option C of head sklearn:SVC; expected a float in the range \(0.0, inf\]; found -1"
    ):
        search("toy", maker.space, grid={"head.C": [-1]}, head="sklearn:SVC", runs=1)
    with pytest.raises(ConfigError, match="--save with --grid"):
        search("toy", maker.space, grid={"lr": [1e-2]}, save=True, **FAST)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"head": ["linear", "mpl"]}, "unknown head 'mpl'.* Did you mean 'mlp'"),
        ({"head": ["mlp", "sklearn:SVCC"]}, "Did you mean 'sklearn:SVC'"),
        ({"loss": ["cross_entropy", "cross_entropy,supcom:0.5"]}, "unknown loss 'supcom'.* Did you mean 'supcon'"),
        ({"schedule": ["constant", "cosin"]}, "unknown schedule 'cosin'.* Did you mean 'cosine'"),
        ({"lr": [1e-2, "fast"]}, "lr = 'fast'; expected a number"),
        ({"batch-size": [8, 0.5]}, "batch_size = 0.5; expected a whole number"),
        ({"lr": "-1:1e-2"}, "lr = -.*; expected above 0"),
        ({"time_masks": ["2x30", "2y30"]}, "masks 2y30"),
        ({"head": ["linear", "mlp"], "head.hidden": [8, "wide"]}, "option hidden of head mlp; .* found 'wide'|'hidden'"),
        ({"head.hiden": [8]}, "Did you mean 'hidden'"),
        (
            {"head": ["sklearn:SVC"], "head.kernel": ["linear", "rbff"]},
            "option kernel of head sklearn:SVC; .* Did you mean 'rbf'",
        ),
    ],
)
def test_a_value_that_is_wrong_by_itself_is_refused_before_training(
    grid: dict[str, Any], said: str, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.table("toy")
    maker.store("toy")
    monkeypatch.setattr(scheduler, "run_units", lambda *given: pytest.fail("something was trained"))
    with pytest.raises(ConfigError, match=said):
        search("toy", maker.space, grid=grid, random=3 if "lr" in grid else None, **FAST)


def test_heads_from_outside_can_be_searched(maker: Any, tmp_path: Path) -> None:
    maker.table("toy")
    maker.store("toy")
    linear = (PACKAGE / "train" / "heads" / "linear.py").read_text(encoding="utf-8")
    (tmp_path / "own_head.py").write_text(linear, encoding="utf-8")
    found = search("toy", maker.space, grid={"head": [str(tmp_path / "own_head.py"), "linear"]}, **FAST)
    assert (found["tried"], found["failed"]) == (2, 0)


def test_the_first_of_equals_is_chosen() -> None:
    assert best_setting([None, 0.2, 0.3, 0.3]) == 2


def test_heads_can_be_searched_with_the_stamps_of_each(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    grid = {"head": ["linear", "sklearn:LogisticRegression", "bilstm"]}
    found = search("toy", maker.space, grid=grid, runs=2, protocol="speaker", folds=3, jobs=1)
    assert found["experiment"].startswith("search-toy-heads-speaker-4-")
    assert [s["experiment"] and s["experiment"].split("-")[2] for s in found["settings"]] == ["linear", "sklearn", "bilstm"]
    assert "head bilstm cannot take these features" in found["settings"][2]["error"]
    assert "sklearn:LogisticRegression draws nothing at random: all runs are equal" in found["stamps"]


HALVED: dict[str, Any] = {**FAST, "epochs": 4, "patience": 0, "refit": "never"}
RATES = [3e-3, 1e-6, 1e-2, 2e-2]


def _scores(space: Workspace, setting: Any) -> dict[tuple[str, int], list[float]]:
    """The validation curve of each fold and run of a setting."""
    runs = read_summary(space.results / setting["record"]).runs
    records = [json.loads((space.results / run.record).read_text()) for run in runs]
    return {(r["fold"], r["run"]): r["curves"]["validation_UA"] for r in records}


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Maker, Maker]:
    """The records of a full search and of one by halving, and their workspaces."""
    makers = [Maker(tmp_path_factory.mktemp(name)) for name in ("full", "halved")]
    for maker in makers:
        maker.table("toy")
        maker.store("toy", strength=0.6)
    full = search("toy", makers[0].space, grid={"lr": RATES}, **HALVED)
    return full, search("toy", makers[1].space, grid={"lr": RATES}, halving=2, **HALVED), *makers


def test_runs_leave_at_the_rungs_that_the_rule_says(halved: Any) -> None:
    full, found, maker, _ = halved
    curves = [_scores(maker.space, s) for s in full["settings"]]
    expected: dict[int, dict[tuple[str, int], tuple[int, float]]] = {k: {} for k in range(len(RATES))}
    for key in curves[0]:
        for epoch in (1, 2):
            there: list[float] = []
            for k, curve in enumerate(curves):
                if key in expected[k]:
                    continue
                score = max(curve[key][:epoch])
                if sum(other >= score for other in there) >= max(1, (len(there) + 1) // 2):
                    expected[k][key] = epoch, score
                there.append(score)
    told = [{(x["fold"], x["run"]): (x["epoch"], x["validation"]) for x in s.get("left", [])} for s in found["settings"]]
    assert told == list(expected.values())
    assert {epoch for left in told for epoch, _ in left.values()} == {1, 2}
    assert found["failed"] == 0
    assert found["halving"] == 2


def test_the_others_are_what_they_are_without_it(halved: Any) -> None:
    """Of settings that were trained to the end all numbers are those of the full search; of the others there are none."""
    full, found, maker, other = halved
    complete = [k for k, s in enumerate(found["settings"]) if s["record"] is not None]
    assert 0 < len(complete) < len(RATES)
    for k in complete:
        a, b = (read_predictions(m.space.results / r["settings"][k]["record"]) for m, r in ((maker, full), (other, found)))
        pd.testing.assert_frame_equal(a, b, check_exact=True)
        assert _scores(maker.space, full["settings"][k]) == _scores(other.space, found["settings"][k])
    assert all(s["validation"] is None and s["error"] is None for s in found["settings"] if s["record"] is None)
    best = max(complete, key=lambda k: found["settings"][k]["validation"]["UA"]["mean"])
    assert found["chosen"]["setting"] == found["settings"][best]["setting"]
    assert found["chosen"]["pooled"] == full["settings"][best].get("pooled", found["chosen"]["pooled"])
    told = " ".join(text_of(found, other.space.results / f"{found['experiment']}.json").split())  # whatever the terminal
    assert "Runs that left early" in told
    gone = sum(len(s.get("left", [])) for s in found["settings"])
    n = len(complete)
    assert f"4 settings tried, 0 failed, {n} trained to the end, {4 - n} with runs that left early; chosen by" in told
    assert f"Successive halving by 2: {gone} runs left early." in told


@pytest.mark.parametrize("backend", ["loky", "threads"])
def test_halving_goes_on_after_a_kill_and_on_other_numbers_of_workers(
    backend: str, halved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found, _, other = halved
    shutil.copytree(other.space.root, tmp_path / "killed")
    space = Workspace(tmp_path / "killed")
    monkeypatch.setattr(scheduler, "is_short", lambda units: False)
    kept = sorted(space.results.glob("*/*.rungs.json"))
    for file in kept[1::3]:  # as if these runs had been in progress
        file.write_text(file.read_text().replace('"left": 1', '"left": null').replace('"left": 2', '"left": null'))
        file.with_name(file.name.replace(".rungs.json", ".json")).unlink(missing_ok=True)
    again = search("toy", space, grid={"lr": RATES}, halving=2, **{**HALVED, "jobs": 2, "backend": backend})
    same = ("settings", "chosen", "nested")
    assert {name: again[name] for name in same} == {name: found[name] for name in same}


def test_halving_is_the_same_whatever_was_recorded_before(halved: Any, tmp_path: Path) -> None:
    """Runs of a full search are there, but some not, and some without the curve that would tell where they had left."""
    _, found, maker, _ = halved
    space = Workspace(shutil.copytree(maker.space.root, tmp_path / "recorded"))
    records = sorted(space.results.glob("*/run-*.json"))
    for file in records[::4]:
        file.unlink()
    for file in records[1::4]:
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "curves"}))
    again = search("toy", space, grid={"lr": RATES}, halving=2, **HALVED)
    same = ("settings", "chosen", "nested")
    assert {name: again[name] for name in same} == {name: found[name] for name in same}


def test_what_a_recorded_run_would_have_left_is_not_met_later(tmp_path: Path) -> None:
    """At the second rung the third setting meets the first alone: the second, recorded with the best end, would be gone."""
    names = [(tmp_path / name, "0" * 12) for name in "abc"]
    rungs = Rungs("x", os.getpid(), 2, (1, 2), "validation_UA", tuple(names))
    for place, scores in enumerate([[0.5, 0.5], [0.4, 0.9], [0.6, 0.6]]):
        own = replace(rungs, settings=rungs.settings[: place + 1])
        own.write(0, "0", Scores(config_hash="0" * 12, scores=scores, ended=True, trained=4))
    race = Race(rungs, 0, "0")
    assert [race.left(place) for place in range(3)] == [None, (1, 0.4), None]
    rungs.write(0, "0", Scores(config_hash="0" * 12, scores=[0.3, 0.3], ended=True, trained=1))
    assert Race(rungs, 0, "0").left(2) is None  # it had ended by itself with the epoch of the rung
    rungs.file(0, "0", 0).unlink()
    with pytest.raises(TrainingError, match="a run of the search has no scores"):
        Race(rungs, 0, "0").left(1)


def test_nobody_waits_for_a_setting_that_cannot_be_trained(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    found = search("toy", maker.space, grid={"head": ["bilstm", "mlp", "linear"]}, halving=2, **HALVED)
    assert [s["error"] is not None for s in found["settings"]] == [True, False, False]
    assert found["failed"] == 1


def test_a_stack_without_memory_says_nothing_until_its_halves_are_trained(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    seen: list[bool] = []
    real = Referee.__call__

    def call(self: Referee, slot: int, epoch: int, trained: Any, going: bool) -> Any:
        if len(self.runs) > 1 and epoch == 2:
            raise MemoryError
        if len(self.runs) == 1 and epoch == 1:
            there = self.rungs.at(self.runs[0], self.fold)
            seen.append(there is not None and there.ended and there.left is None)
        return real(self, slot, epoch, trained, going)

    monkeypatch.setattr(Referee, "__call__", call)
    assert search("toy", maker.space, grid={"lr": RATES[:2]}, halving=2, **{**HALVED, "protocol": "random"})["failed"] == 0
    assert set(seen) == {False}


def test_a_search_by_halving_is_done_by_one_command_at_a_time(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    options = {"grid": {"lr": [1e-2, 1e-3]}, "halving": 2, **FAST}
    monkeypatch.setattr(halving, "train_all", lambda *_, **__: search("toy", maker.space, **options))
    with pytest.raises(StoreError, match="another process is writing the search by halving"):
        search("toy", maker.space, **options)


def test_nested_scores_of_halving_are_recomputed(halved: Any, tmp_path: Path) -> None:
    _, found, _, other = halved
    space = Workspace(shutil.copytree(other.space.root, tmp_path / "verified"))
    path = space.results / f"{found['experiment']}.json"
    fine = verify(path, space)
    assert (fine.differences, fine.missing) == ([], [])
    path.write_text(json.dumps({**found, "nested": {**found["nested"], "test": found["chosen"]["validation"]}}))
    assert any("$.nested.test" in fault.where for fault in verify(path, space).differences)
    fold, setting = next(x for x in found["nested"]["settings"].items() if x[1] != found["chosen"]["setting"])
    other_choice = {**found["nested"]["settings"], fold: found["chosen"]["setting"]}
    path.write_text(json.dumps({**found, "nested": {**found["nested"], "settings": other_choice}}))
    assert any(fault.where.startswith("$.nested.settings") for fault in verify(path, space).differences)
    (name,) = (s["experiment"] for s in found["settings"] if s["setting"] == setting)
    path.write_text(json.dumps(found))
    for file in (space.results / name).glob("run-000.*.csv"):
        file.unlink()
    assert "nested cannot be recomputed without all runs of the settings it names" in verify(path, space).missing


def test_nested_choices_of_halving_need_the_own_fold_alone(halved: Any) -> None:
    """The best of the fold with the scores at leaving, and again once the runs of that one that left are trained to the end."""
    full, found, maker, _ = halved
    records = [read_summary(maker.space.results / s["record"]).runs for s in full["settings"]]
    for fold, setting in found["nested"]["settings"].items():
        whole: list[dict[int, float]] = []
        for runs in records:
            read = {r.run: json.loads((maker.space.results / r.record).read_text()) for r in runs if r.fold == fold}
            whole.append({run: record["validation"]["UA"] for run, record in read.items()})
        left = [{x["run"]: x["validation"] for x in s.get("left", []) if x["fold"] == fold} for s in found["settings"]]
        while True:
            means = [np.mean(list({**a, **b}.values())) for a, b in zip(whole, left, strict=True)]
            best = int(np.argmax(means))
            if not left[best]:
                break
            left[best] = {}
        assert found["settings"][best]["setting"] == setting


def test_halving_says_what_it_cannot_halve(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy")
    for options, problem in (
        (
            {"grid": {"lr": [1e-2, 1e-3]}, "halving": 3},
            r"--halving 3 of 2 settings of 6 epochs; expected at least 3 settings [^;]*, and 3 epochs\. Take more",
        ),
        (
            {"grid": {"head": ["mlp", "linear"], "head.hidden": [8, 16]}, "halving": 3},
            "--halving 3 of 2 settings .*; found what cannot be trained: head=linear .*: unknown option.*Mend or replace",
        ),
        ({"grid": {"head": ["linear", "sklearn:SVC"]}, "halving": 2}, "what cannot be trained: head=sklearn:SVC: .*epochs"),
        ({"grid": {"lr": [1e-2, 1e-3]}, "halving": 2, "average": "ema"}, "--halving with --average ema; .*Leave one"),
        ({"grid": {"lr": [1e-2, 1e-3]}, "halving": 2, "snapshots": 2}, "--halving with --snapshots 2; .*Leave one"),
        (
            {"grid": {"head": ["linear", "sklearn:SVC"]}, "halving": 2, "epochs": None},
            "--halving with --head sklearn:SVC; .*none of scikit-learn.*Take another head",
        ),
        ({"grid": {"lr": [1e-2, 1e-3]}, "halving": 2, "backend": "dask", "jobs": None}, "expected the backend loky or threads"),
        ({"grid": {"lr": [1e-2, 1e-3]}, "halving": 2, "shard": "0/2"}, "--halving with --shard 0/2"),
        *(({"grid": {"lr": [1e-2, 1e-3]}, "halving": n}, f"halving = {n!r}; expected") for n in (0, 1, 2.5, "3", True)),
    ):
        with pytest.raises(ConfigError, match=problem):
            search("toy", maker.space, **{**FAST, **options})
    assert main(["fit", "--workspace", str(maker.space.root), "--halving", "2"]) == 2
    assert "Add --grid with the values to try" in capsys.readouterr().err
