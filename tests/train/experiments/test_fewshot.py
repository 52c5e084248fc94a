"""Few-shot learning from features to records: shots, methods against scikit-learn, one source model, resuming, the study."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from ser import checks, registry
from ser.cli import cli
from ser.errors import ConfigError, StoreError
from ser.features.normalise import normalise
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.results.records.kinds import read_record, read_summary
from ser.results.stored.runs import read_predictions
from ser.train.experiments.adapt import adapt
from ser.train.experiments.fewshot import fewshot
from ser.train.fewshot import scheduler as fewshot_scheduler
from ser.train.fewshot import worker as fewshot_worker
from ser.train.fewshot.methods._base import METHODS, Task, method
from ser.train.fewshot.shots import Amount, amounts, lacking, subsets
from ser.train.loop.learner import Learner
from ser.train.runs import scheduler
from ser.train.runs.recipe import make_recipe

FAST: dict[str, Any] = {"epochs": 12, "lr": 1e-2, "jobs": 1, "head_options": {"hidden": 16}}
SOME: dict[str, Any] = {"protocol": "official", "runs": 2, "tune_epochs": 3, **FAST}
ALL = registry.names(METHODS)


def pair(maker: Any, **store: Any) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name, **store)


def predictions_of(maker: Any, summary: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{summary['experiment']}.json")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The tasks of the workers: the function's name and its arguments."""
    found: list[tuple[str, Any]] = []
    real = scheduler.run_units

    def counting(function: Any, units: Any, engine: Any) -> Any:
        found.extend((function.__name__, unit) for unit in units)
        return real(function, units, engine)

    monkeypatch.setattr(scheduler, "run_units", counting)
    return found


def test_shots_are_nested_and_stratified_and_a_matter_of_the_seed() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 4])
    rows = np.arange(84)[::2]
    asked = amounts([10, 20, 50, 100], [5, 1])
    assert [a.name for a in asked] == ["1 shot", "5 shots", "10%", "20%", "50%", "100%"]
    parts = subsets(labels, rows, asked, 3)
    sizes = [np.bincount(labels[p]).tolist() for p in parts.values()]
    assert sizes == [[1, 1, 1], [5, 5, 2], [2, 2, 1], [5, 3, 1], [12, 8, 1], [25, 15, 2]]
    for small, large in ((0, 2), (2, 3), (3, 4), (4, 5), (0, 1), (1, 5)):
        assert set(parts[asked[small]]) <= set(parts[asked[large]])
    assert set(parts[asked[5]]) == set(rows)
    (alone,) = subsets(labels, rows, [Amount(20)], 3).values()
    assert list(parts[Amount(20)]) == list(alone)
    assert list(alone) != list(subsets(labels, rows, [Amount(20)], 4)[Amount(20)])
    assert lacking(labels, rows, Amount(shots=5), "abc") == ["5 shots asked for, fewer there and all of them taken: c 2"]
    assert lacking(labels, rows, Amount(shots=30), "abc")[0].endswith("taken: a 25, b 15, c 2")
    assert lacking(labels, rows, Amount(10), "abc") == []


def test_shots_of_few_speakers_are_as_many_of_each_class() -> None:
    labels = np.tile(np.repeat([0, 1], [6, 2]), 5)
    speakers = np.array([f"s{k // 8}" for k in range(40)])
    rows, asked = np.arange(40), amounts([20, 40, 100], [3])
    mixed, aware = subsets(labels, rows, asked, 1), subsets(labels, rows, asked, 1, speakers)
    for a in asked:
        assert np.bincount(labels[mixed[a]]).tolist() == np.bincount(labels[aware[a]]).tolist()
    who = [sorted(set(speakers[aware[a]])) for a in asked]
    assert [len(w) for w in who] == [2, 1, 2, 5]  # three of a class of which each speaker has two: the next one gives the third
    assert set(who[1]) < set(who[0]) == set(who[2])
    assert len(set(speakers[mixed[Amount(20)]])) > 1
    assert set(aware[Amount(20)]) <= set(aware[Amount(40)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([0, 10], None), "above 0"),
        (([], None), "above 0"),
        (([101.0], [1]), "up to 100"),
        ((None, [0]), "1 or more"),
        ((None, [2.5]), "whole numbers"),
    ],
)
def test_amounts_that_are_none_are_refused(given: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        amounts(*given)


@pytest.fixture
def task(maker: Any) -> Task:
    """A fold of toy data with two source models: rows 0 to 47 are the source, 48 to 71 the target's training part."""
    maker.table("toy")
    maker.store("toy", strength=0.7)
    data = normalise(load_tensors("toy", maker.space), "train", np.arange(48))[0]
    recipe = make_recipe("mlp", epochs=3, selection="last", patience=0, head_options={"hidden": "16"})
    learner = Learner(data, recipe)
    parts = learner.train(np.arange(48), np.arange(0), [1, 2])
    return Task(data, learner, learner, learner.weights(parts), np.arange(48), np.arange(48, 72), np.arange(72, 96))


def embedded(task: Task, run: int, rows: Any) -> Any:
    """The embedding by matrix products: the toy has one hidden layer of 16, and its weights lie one after another."""
    assert task.weights is not None
    x = task.data.blocks[0].values[rows]
    theta = task.weights[0][run].numpy()
    weight, bias = theta[: 8 * 16].reshape(8, 16), theta[8 * 16 : 9 * 16]
    return np.maximum(x @ weight + bias, 0)


def test_the_embedding_is_that_of_each_run_s_source_model(task: Task) -> None:
    own = np.stack([np.arange(50, 60), np.arange(55, 65)])
    found = task.embedding(own)
    for run in (0, 1):
        np.testing.assert_allclose(found[run], embedded(task, run, own[run]), atol=1e-5)
        np.testing.assert_allclose(task.centre[run, 0], embedded(task, run, task.base).mean(0), atol=1e-5)
    np.testing.assert_allclose(task.embedding(task.test)[1], embedded(task, 1, task.test), atol=1e-5)


@pytest.mark.parametrize("with_source", [True, False])
def test_methods_on_embeddings_are_what_scikit_learn_makes_of_them(task: Task, with_source: bool) -> None:
    if not with_source:
        task = Task(task.data, task.learner, task.learner, None, task.base[:0], task.train, task.test)
    labels = task.data.labels
    drawn = [subsets(labels, task.train, [Amount(shots=3)], s)[Amount(shots=3)] for s in (5, 6)]
    answers = {name: method(name).learn(task, np.stack(drawn), [5, 6]) for name in ("prototypical", "simpleshot", "linear")}
    for run, rows in enumerate(drawn):
        vectors = [embedded(task, run, r) if with_source else task.data.blocks[0].values[r] for r in (rows, task.test)]
        shots, test = (v.astype(np.float64) for v in vectors)
        centre = embedded(task, run, task.base).mean(0) if with_source else 0.0
        unit = [(v - centre) / np.linalg.norm(v - centre, axis=1, keepdims=True) for v in (shots, test)]
        scaler = StandardScaler().fit(shots)
        regression = LogisticRegression(class_weight="balanced").fit(scaler.transform(shots), labels[rows])
        expected = {
            "prototypical": NearestCentroid().fit(shots, labels[rows]).predict(test),
            "simpleshot": NearestCentroid().fit(unit[0], labels[rows]).predict(unit[1]),
            "linear": regression.predict(scaler.transform(test)),
        }
        for name, predicted in expected.items():
            probabilities = answers[name].probabilities[run]
            np.testing.assert_allclose(probabilities.sum(1), 1)
            assert (probabilities.argmax(1) == predicted).all(), name
        distance = ((test[0] - np.stack([shots[labels[rows] == c].mean(0) for c in range(4)])) ** 2).sum(1)
        logarithms = np.log(answers["prototypical"].probabilities[run][0] + 1e-300)
        np.testing.assert_allclose(np.diff(logarithms), -np.diff(distance), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["prototypical", "simpleshot", "linear"])
def test_a_class_without_shots_is_never_predicted(task: Task, name: str) -> None:
    rows = task.train[task.data.labels[task.train] != 2]
    answer = method(name).learn(task, np.stack([rows, rows]), [1, 2])
    assert (answer.probabilities[:, :, 2] == 0).all()
    np.testing.assert_allclose(answer.probabilities.sum(-1), 1)


@pytest.mark.parametrize("name", ALL)
def test_a_method_keeps_its_promises(name: str) -> None:
    tried = list(checks.check("fewshot", name))
    assert [(promise, fault) for promise, fault in tried if fault] == []
    assert len(tried) == (6 if method(name).NEEDS_SOURCE else 11)


@pytest.mark.parametrize("name", ALL)
def test_a_method_opens_with_its_paper(name: str) -> None:
    module = method(name)
    assert len(registry.summary(module)) > 40
    assert name == "scratch" or any(year in str(module.__doc__) for year in ("2017", "2019"))


def test_the_source_is_trained_once_a_seed_for_all_methods(maker: Any, calls: list[Any]) -> None:
    pair(maker)
    options = {**SOME, "percentages": [10, 50, 100], "protocol": "session", "runs": 1}
    study = fewshot("target", "source", maker.space, methods=["finetune", "simpleshot"], **options)
    assert [name for name, _ in calls].count("train_source") == 1
    summaries = [plain(read_summary(maker.space.results / m["record"])) for m in study["methods"]]
    for summary in summaries:
        assert list(summary["percentages"]) == ["10%", "50%", "100%"]
        assert [p["n_samples"] for p in summary["percentages"].values()] == [4, 16, 32]
        assert summary["source"]["zero_shot"]["pooled"]["UA"]["mean"] > 0.6
        assert len(summary["runs"]) == 4 * 3
        predictions = predictions_of(maker, summary)
        assert set(predictions["percentage"]) == {0.0, 10.0, 50.0, 100.0}
        validation = predictions[predictions["split"] == "validation"]
        assert {i.split("-")[0] for i in validation["utterance_id"]} == {"source"}
    calls.clear()
    again = fewshot("target", "source", maker.space, **options)  # the first method alone: its record is there
    assert again["percentages"] == summaries[0]["percentages"]
    assert again["experiment"] == summaries[0]["experiment"]
    assert calls == []


def test_the_source_model_is_that_of_adaptation(maker: Any) -> None:
    pair(maker, strength=0.5)
    options: dict[str, Any] = {"protocol": "session", "runs": 2, **FAST}
    few = predictions_of(maker, fewshot("target", "source", maker.space, percentages=[50], tune_epochs=1, **options))
    study = adapt("source", "target", maker.space, methods=["coral"], **options)
    path = maker.space.results / study["variants"][0]["record"]
    alone = read_predictions(path)
    columns = ["run", "fold", "utterance_id", *(c for c in alone.columns if c.startswith("p_"))]
    zero = few[(few["percentage"] == 0) & (few["split"] == "test")][columns]
    other = alone[alone["split"] == "test"][columns]
    key = columns[:3]
    a, b = (frame.sort_values(key).reset_index(drop=True) for frame in (zero, other))
    pd.testing.assert_frame_equal(a, b)


def test_a_method_is_itself_beside_others_and_in_any_stack(maker: Any) -> None:
    pair(maker, strength=0.5)
    given = {**SOME, "shots": [2]}
    many = fewshot("target", "source", maker.space, methods=[*ALL], **given)
    for m in many["methods"]:
        path = maker.space.results / m["record"]
        beside = predictions_of(maker, plain(read_summary(path)))
        output = maker.space.results / f"alone-{m['name']}.json"
        alone = fewshot("target", "source", maker.space, methods=[m["name"]], output=output, stack=1, **given)
        pd.testing.assert_frame_equal(beside, predictions_of(maker, alone))
        assert [r.get("shots") for r in alone["runs"]].count(2) == 2
        assert ("source" in alone) == (m["name"] != "scratch")


def test_a_stack_that_does_not_fit_into_memory_is_halved(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(maker, strength=0.5)
    given = {**SOME, "runs": 3, "methods": ["finetune", "linear"], "shots": [2]}
    whole = fewshot("target", "source", maker.space, **given)
    expected = [predictions_of(maker, plain(read_summary(maker.space.results / m["record"]))) for m in whole["methods"]]
    real = {"train": Learner.train, "_learn": fewshot_worker._learn}

    def cramped_training(self: Any, rows: Any, validation: Any, seeds: Any, *rest: Any) -> Any:
        if len(seeds) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real["train"](self, rows, validation, seeds, *rest)

    monkeypatch.setattr(Learner, "train", cramped_training)
    for folder in maker.space.results.iterdir():
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
    again = fewshot("target", "source", maker.space, **given)
    for m, frame in zip(again["methods"], expected, strict=True):
        found = predictions_of(maker, plain(read_summary(maker.space.results / m["record"])))
        pd.testing.assert_frame_equal(found, frame)


def test_what_was_finished_before_a_kill_is_not_trained_again(
    maker: Any, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(maker)
    given = {**SOME, "protocol": "session", "methods": ["finetune", "prototypical"], "shots": [1, 4], "runs": 1}
    real, written = fewshot_scheduler.write_run, []

    def killed(folder: Path, row: Any, predictions: Any) -> None:
        if len(written) == 6 + 4:  # a fold whole, of the next the first method and one run of the second
            raise KeyboardInterrupt
        written.append(row)
        real(folder, row, predictions)

    monkeypatch.setattr(fewshot_scheduler, "write_run", killed)
    with pytest.raises(KeyboardInterrupt):
        fewshot("target", "source", maker.space, **given)
    monkeypatch.setattr(fewshot_scheduler, "write_run", real)
    calls.clear()
    study = fewshot("target", "source", maker.space, **given)
    done = [(unit[1].name, unit[4]) for name, unit in calls if name == "learn"]
    assert [m for _, m in done] == [["prototypical"], ["finetune", "prototypical"]]
    calls.clear()
    more = fewshot("target", "source", maker.space, **{**given, "methods": ["finetune", "prototypical", "linear"]})
    assert {tuple(unit[4]) for name, unit in calls if name == "learn"} == {("linear",)}
    assert more["methods"][:2] == study["methods"]


def test_without_a_source_heads_learn_from_the_shots_alone(maker: Any) -> None:
    maker.table("target")
    maker.store("target")
    given = {"percentages": [10, 100], "runs": 2, "protocol": "official", **FAST}
    study = fewshot("target", None, maker.space, methods=["finetune", "simpleshot", "prototypical", "linear"], **given)
    assert study["source"] is None
    for m in study["methods"]:
        few, every = (p["pooled"]["UA"]["mean"] for p in m["curve"])
        assert few < every
    assert any("unlabelled" in s or "only the stated share has labels" in s for s in study["stamps"])
    with pytest.raises(ConfigError, match="scratch means nothing without a source"):
        fewshot("target", None, maker.space, methods=["scratch"], **given)
    for name in ("tune_epochs", "lr_factor"):
        with pytest.raises(ConfigError, match=f"{name} = 1 without a source"):
            fewshot("target", None, maker.space, **given, **{name: 1})


def test_workers_share_the_amounts_and_give_the_same_records(
    maker: Any, calls: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(maker)
    given = {**SOME, "stack": 1, "percentages": [10, 100], "methods": ["finetune"]}
    alone = predictions_of(maker, fewshot("target", "source", maker.space, **given))
    monkeypatch.setattr(fewshot_scheduler, "_is_short", lambda *_: False)
    monkeypatch.setattr(scheduler, "as_finished", lambda f, todo, *_: ((k, f(*one)) for k, one in enumerate(todo)))
    calls.clear()
    output = maker.space.results / "two.json"
    fewshot("target", "source", maker.space, **{**given, "jobs": 2}, output=output)
    units = [unit for name, unit in calls if name == "learn"]
    assert [(unit.runs, [a.name for a in unit.amounts]) for unit in units] == [
        ([k], [amount]) for amount in ("100%", "10%", "0%") for k in (0, 1)
    ]
    pd.testing.assert_frame_equal(read_predictions(output), alone)


def test_classical_heads_fit_each_share_and_refuse_a_source(maker: Any) -> None:
    pair(maker, strength=0.6)
    options: dict[str, Any] = {
        "head": "sklearn:LogisticRegression",
        "percentages": [10, 100],
        "runs": 2,
        "protocol": "session",
        "jobs": 1,
    }
    summary = fewshot("target", None, maker.space, **options)
    few, everything = (summary["percentages"][p]["pooled"]["UA"]["mean"] for p in ("10%", "100%"))
    assert few < everything
    for name in ("finetune", "linear"):
        with pytest.raises(ConfigError, match="cannot be fine-tuned"):
            fewshot("target", "source", maker.space, methods=[name], **options)


def test_other_features_and_no_shared_classes_are_refused(maker: Any) -> None:
    maker.table("source")
    maker.table("target", emotions=("fear", "boredom"))
    maker.store("source")
    maker.store("target", identity={"encoder": "toy", "revision": "2"})
    with pytest.raises(ConfigError, match="share 0 classes"):
        fewshot("target", "source", maker.space, scheme="native", **FAST)
    maker.table("other")
    maker.store("other", identity={"encoder": "toy", "revision": "2"})
    with pytest.raises(StoreError, match="not of the same encoder"):
        fewshot("other", "source", maker.space, **FAST)
    with pytest.raises(ConfigError, match="source is named twice"):
        fewshot("source", "source", maker.space, **FAST)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"runs": 0}, "runs = 0"),
        ({"percentages": []}, "above 0"),
        ({"tune_epochs": 0}, "tune_epochs = 0"),
        ({"lr_factor": -1.0}, "lr_factor = -1.0"),
        ({"methods": []}, "no few-shot method is named"),
        ({"methods": ["protonet"]}, "unknown few-shot method 'protonet'"),
        ({"head": "linear", "methods": ["linear"], "head_options": None}, "head linear has none"),
        ({"save": True}, "neither saved nor trained again"),
        ({"freeze": "all"}, "freeze = all"),
    ],
)
def test_unknown_words_are_refused_before_anything_is_trained(maker: Any, wrong: dict[str, Any], said: str) -> None:
    pair(maker)
    with pytest.raises(ConfigError, match=said):
        fewshot("target", "source", maker.space, **{**FAST, **wrong})
    assert not list(maker.space.results.glob("*/*.json"))


def test_speakers_have_to_be_known_to_be_used_up(maker: Any) -> None:
    pair(maker)
    frame = pd.read_csv(maker.space.table("target"), dtype=str, keep_default_na=False).assign(speaker="")
    frame.to_csv(maker.space.table("target"), index=False)
    with pytest.raises(ConfigError, match="target: speaker-aware shots need the speaker"):
        fewshot("target", "source", maker.space, speaker_aware=True, **SOME)
    summary = fewshot("target", "source", maker.space, shots=[2], **SOME)
    assert "n_speakers" not in summary["percentages"]["2 shots"]


def test_labels_of_the_test_part_change_nothing_but_the_scores(maker: Any) -> None:
    pair(maker, strength=0.6)
    given = {**SOME, "shots": [3], "speaker_aware": True}
    frames = []
    for turned in (False, True):
        if turned:
            frame = pd.read_csv(maker.space.table("target"), dtype=str, keep_default_na=False)
            test = frame["split"] == "test"
            for column in ("emotion", "label"):
                frame.loc[test, column] = np.roll(frame.loc[test, column].to_numpy(), 5)
            frame.to_csv(maker.space.table("target"), index=False)
        study = fewshot("target", "source", maker.space, methods=[*ALL], **given)
        frames.append([predictions_of(maker, plain(read_summary(maker.space.results / m["record"]))) for m in study["methods"]])
    for before, after in zip(*frames, strict=True):
        assert (before["true"] != after["true"]).any()
        pd.testing.assert_frame_equal(before.drop(columns="true"), after.drop(columns="true"))


def test_frozen_encoders_and_few_speakers_are_recorded(maker: Any) -> None:
    pair(maker, strength=0.5)
    mixed = fewshot("target", "source", maker.space, shots=[3], **{**SOME, "protocol": "session"})
    given = {**SOME, "protocol": "session", "speaker_aware": True, "freeze": "encoder"}
    aware = fewshot("target", "source", maker.space, shots=[3], **given)
    assert aware["percentages"]["3 shots"]["n_speakers"] == 1
    assert mixed["percentages"]["3 shots"]["n_speakers"] == 2
    assert aware["percentages"]["3 shots"]["n_samples"] == mixed["percentages"]["3 shots"]["n_samples"] == 12
    assert (aware["config"]["tuning"]["freeze"], aware["config"]["freeze"]) == ("encoder", "none")
    columns = ["p_anger", "p_sadness"]
    assert (predictions_of(maker, aware)[columns] != predictions_of(maker, mixed)[columns]).any().any()


def test_notes_reach_the_record(maker: Any) -> None:
    pair(maker)
    given = {**SOME, "runs": 1, "shots": [20], "limit": 1e-9, "lr": 1e-12}  # features of 0, and nothing learned
    summary = fewshot("target", "source", maker.space, **given)
    assert any("every validation utterance is predicted" in n and ", 0%: " in n for n in summary["notes"])
    assert any(
        "20 shots asked for, fewer there and all of them taken: anger 12," in n and ", 20 shots: " in n
        for n in summary["notes"]
    )
    (file,) = (maker.space.results / summary["experiment"]).glob("*.0pct.json")
    assert any("every validation utterance is predicted" in n for n in json.loads(file.read_text())["notes"])


def test_the_study_says_what_the_predictions_say(maker: Any) -> None:
    pair(maker, strength=0.35)
    given = {**SOME, "percentages": [10, 30, 100], "shots": [1], "methods": ["finetune", "simpleshot", "scratch"]}
    study = fewshot("target", "source", maker.space, **given)
    path = maker.space.results / f"{study['experiment']}.json"
    assert plain(read_record(path)) == json.loads(json.dumps(study))
    uar: dict[tuple[str, str], float] = {}
    for m in study["methods"]:
        predictions = predictions_of(maker, plain(read_summary(maker.space.results / m["record"])))
        test = predictions[predictions["split"] == "test"]
        for point in m["curve"]:
            number = float(point["amount"].rstrip("%").split()[0])
            rows = test[test["percentage" if point["amount"].endswith("%") else "shots"] == number]
            values = [recall_score(r["true"], r["predicted"], average="macro") for _, r in rows.groupby("run")]
            uar[m["name"], point["amount"]] = float(np.mean(values))
            assert point["pooled"]["UA"]["values"] == pytest.approx(values)
    assert [m["name"] for m in study["methods"]] == ["finetune", "simpleshot", "scratch"]
    order = [(c["amount"], c["method"]) for c in study["comparisons"]]
    assert order == [(a, m) for a in ("1 shot", "10%", "30%", "100%") for m in ("simpleshot", "scratch")]
    for c in study["comparisons"]:
        assert c["difference"] == pytest.approx(uar[c["method"], c["amount"]] - uar["finetune", c["amount"]])
        assert (c["p"], c["p_holm"]) == (None, None)  # two whole runs are too few
    assert {r["unit"] for r in study["saved_labels"] if r["amount"] == "1 shot"} == {"shots"}
    curve = [uar["scratch", f"{p}%"] for p in (10, 30, 100)]
    for row in study["saved_labels"]:
        if row["relation"] == "about":
            assert np.interp(np.log(row["worth"]), np.log([10, 30, 100]), curve) == pytest.approx(row["score"])
            assert row["saved"] == pytest.approx(1 - float(row["amount"].rstrip("%")) / row["worth"])
        elif row["unit"] == "%":
            beyond = row["score"] <= curve[0] if row["relation"] == "at most" else row["score"] > max(curve)
            assert beyond, row
    shown_and_drawn(maker, study)


def shown_and_drawn(maker: Any, study: dict[str, Any]) -> None:
    base = ["--workspace", str(maker.space.root)]
    wide = CliRunner(env={"COLUMNS": "200"})  # of a terminal: no cell is wrapped
    shown = wide.invoke(cli, ["results", "show", study["experiment"], *base])
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    for word in ("source only", "minus finetune", "worth", "1 shot", "30%", "p over models", "p over speakers", "p, Holm"):
        assert word in words
    assert "p over runs" not in shown.output
    drawn = CliRunner().invoke(cli, ["results", "plot", study["experiment"], "--kind", "fewshot", *base])
    assert drawn.exit_code == 0, drawn.output
    assert (maker.space.results / f"{study['experiment']}.fewshot.png").stat().st_size > 10_000
    refused = CliRunner().invoke(cli, ["results", "plot", study["experiment"], "--kind", "confusion", *base])
    assert refused.exit_code != 0


def test_the_command_takes_shots_and_methods(maker: Any) -> None:
    pair(maker)
    base = ["fewshot", "--workspace", str(maker.space.root), "--source", "source", "--target", "target", "--jobs", "1"]
    more = ["--runs", "1", "--epochs", "2", "--tune-epochs", "1", "--protocol", "official", "--head-option", "hidden=8"]
    found = CliRunner().invoke(cli, [*base, *more, "--methods", "linear", "--shots", "1,2", "--speaker-aware"])
    assert found.exit_code == 0, found.output
    (path,) = maker.space.results.glob("fewshot-linear-source-target-mlp-official-4-*.json")
    assert list(plain(read_summary(path))["percentages"]) == ["1 shot", "2 shots"]
    assert "Scores at 2 shots" in found.output
    found = CliRunner().invoke(cli, [*base, *more])
    (path,) = maker.space.results.glob("fewshot-source-target-mlp-official-4-*.json")
    assert list(plain(read_summary(path))["percentages"]) == ["10%", "20%", "50%", "100%"]
