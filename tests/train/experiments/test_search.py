"""Searching settings: validation chooses, test scores of the others stay where they are, failures are named."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser.cli import main
from ser.errors import ConfigError, SerError
from ser.jsonfile import plain
from ser.results.records.kinds import read_record, read_summary
from ser.results.report.compose import text_of
from ser.results.statistics.chosen_setting import best_setting
from ser.results.stored.runs import read_predictions
from ser.train.experiments.fit import fit
from ser.train.experiments.search import search
from ser.train.experiments.search_space import Range, parse_grid, settings, training_of
from ser.train.runs import scheduler

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
        "toy",
        maker.space,
        grid=grid,
        head="sklearn:RandomForestClassifier",
        runs=2,
        protocol="speaker",
        folds=3,
        jobs=1,
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
    grid = ["--grid", "head.C=-1,1", "--grid", "head.kernel=linear"]
    base = ["fit", "--workspace", str(maker.space.root), "--runs", "1", "--jobs", "1", "--head", "sklearn:SVC"]
    assert main([*base, *grid]) == 3
    said = capsys.readouterr().out
    assert "  - head.C=-1 head.kernel=linear: sklearn:SVC: The 'C' parameter" in said
    assert "1 failed" in said
    (path,) = maker.space.results.glob("search-toy-sklearn-SVC-*.json")
    rows = plain(read_record(path))["settings"]
    assert [r["record"] is None for r in rows] == [True, False]
    assert main(["results", "show", path.stem, "--workspace", str(maker.space.root)]) == 0
    assert "chosen" in capsys.readouterr().out
    assert main(["results", "show", path.stem, "--format", "csv", "--workspace", str(maker.space.root)]) == 0
    assert f"{path.stem},chosen,pooled,UA," in capsys.readouterr().out
    assert main([*base, "--grid", "head.C=1,2", "--head-option", "C=3"]) == 1
    assert "head.C is given and searched" in capsys.readouterr().err
    assert main([*base, "--random", "3"]) == 1
    assert "nothing to search" in capsys.readouterr().err
    assert main(["results", "list", "--workspace", str(maker.space.root)]) == 0


def test_a_setting_that_is_refused_before_training_fails_alone(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    found = search("toy", maker.space, grid={"lr": [-1.0, 1e-2]}, **FAST)
    assert found["failed"] == 1
    assert "lr = -1.0" in found["settings"][0]["error"]
    with pytest.raises(SerError, match="unknown training option 'rate'"):
        search("toy", maker.space, grid={"rate": [1, 2]}, **FAST)
    with pytest.raises(SerError, match=r"sklearn:SVC: The 'C'"):
        search("toy", maker.space, grid={"head.C": [-1]}, head="sklearn:SVC", runs=1)
    with pytest.raises(ConfigError, match="--save with --grid"):
        search("toy", maker.space, grid={"lr": [1e-2]}, save=True, **FAST)


def test_the_first_of_equals_is_chosen() -> None:
    assert best_setting([None, 0.2, 0.3, 0.3]) == 2


def test_heads_can_be_searched_with_the_stamps_of_each(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    grid = {"head": ["linear", "sklearn:LogisticRegression", "mpl"]}
    found = search("toy", maker.space, grid=grid, runs=2, protocol="speaker", folds=3, jobs=1)
    assert found["experiment"].startswith("search-toy-heads-speaker-4-")
    assert [s["experiment"] and s["experiment"].split("-")[2] for s in found["settings"]] == ["linear", "sklearn", None]
    assert "Did you mean 'mlp'" in found["settings"][2]["error"]
    assert "sklearn:LogisticRegression draws nothing at random: all runs are equal" in found["stamps"]
