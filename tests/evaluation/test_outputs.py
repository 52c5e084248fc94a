"""`ser evaluate` of heads on dimensions, several labels, and a class beside dimensions."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from ser.cli import main
from ser.errors import ConfigError
from ser.evaluation.evaluate import evaluate
from ser.features.blocks import stored_block
from ser.features.stores.layout import Record
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter
from ser.jsonfile import plain
from ser.metadata.table import load_table, make_table, write_table
from ser.results.metrics.conformal import conformal_answers, conformal_intervals, conformal_sets
from ser.results.metrics.outputs import output_speaker_gap
from ser.results.plotting.gallery import wanted
from ser.results.records.kinds import read_record
from ser.results.report.compose import text_of
from ser.results.result import Result
from ser.results.stored.runs import read_predictions
from ser.train.checkpoint import load_head
from ser.train.experiments.fit import fit
from ser.workspace import Workspace

QUICK: dict[str, Any] = {"folds": 3, "runs": 2, "epochs": 4, "jobs": 1, "protocol": "speaker", "save": True, "refit": "never"}
LEVEL = {"anger": 4.0, "happiness": 3.0, "neutral": 2.0, "sadness": 1.0}
BOTH = {"anger": "anger;sadness", "happiness": "happiness", "neutral": "neutral;happiness", "sadness": "sadness"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> Workspace:
    """Corpora d and e with ratings, f with labels, bare without either; heads on each target."""
    maker = maker_type(tmp_path_factory.mktemp("workspace"))
    random = np.random.default_rng(0)
    scale = {"low": 0, "high": 5}
    for name in ("d", "e", "f", "bare"):
        maker.table(name)
        rows: list[Any] = load_table(name, maker.space).frame.to_dict("records")
        for row in rows:
            emotion = row["emotion"]
            if name in ("d", "e"):
                row["arousal"], row["valence"] = LEVEL[emotion] + random.normal() / 2, 2 + random.normal()
            if name == "f":
                row["emotion"], row["label"] = "", BOTH[emotion]
        if name != "bare":
            facts = {"corpus": "csv"} | ({"dimensions": {"arousal": scale, "valence": scale}} if name != "f" else {})
            write_table(make_table(rows, name, facts), maker.space)
        maker.store(name, identity={"encoder": "toy"})
    results = maker.space.results
    for dataset, name, target in (
        ("d", "rated", "arousal,valence"),
        ("d", "mixed", "emotion,arousal"),
        ("f", "several", "labels"),
    ):
        fit(dataset, maker.space, target=target, output=results / f"{name}.json", **QUICK)
    return Workspace(maker.space.root)


def evaluated(space: Workspace, model: str, **options: Any) -> dict[str, Any]:
    record, path = evaluate(model, space, **options)
    assert plain(read_record(path)) == json.loads(json.dumps(record))  # valid by its schema, and as it was given
    return record


def summary(space: Workspace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((space.results / f"{name}.json").read_text())
    return found


def rows_of(space: Workspace, name: str, split: str) -> pd.DataFrame:
    rows = read_predictions(space.results / f"{name}.json")
    return rows[rows["split"] == split]


def test_dimensions_have_the_scores_of_the_record_and_their_line_and_curve(space: Workspace) -> None:
    record, test = evaluated(space, "rated"), rows_of(space, "rated", "test")
    assert record["scores"] == summary(space, "rated")["pooled"]
    assert record["scales"]["arousal"] == {"low": 0, "high": 5}
    own = record["outputs"]["arousal"]
    each = summary(space, "rated")["outputs"]["arousal"]
    assert [own["scores"][m]["mean"] for m in ("CCC", "PCC", "RMSE")] == pytest.approx([each[m] for m in each][:3])
    low, high = own["scores"]["CCC"]["ci_95_speakers"]
    assert low <= own["scores"]["CCC"]["mean"] <= high
    runs = [rows for _, rows in test.groupby("run")]
    lines = [np.polyfit(r["p_arousal"].astype(float), r["t_arousal"], 1)[0] for r in runs]
    assert own["slope"]["values"] == pytest.approx(lines, rel=1e-4)
    assert own["bias"]["values"] == pytest.approx([float((r["p_arousal"] - r["t_arousal"]).mean()) for r in runs])
    assert sum(own["curve"]["n"]) == len(runs[0])
    assert own["curve"]["predicted"] == sorted(own["curve"]["predicted"])
    assert set(record["genders"]["groups"]) == {"female", "male"}
    (gap,) = record["genders"]["gaps"]
    ends, groups = gap["scores"]["RMSE"]["ci_95"], record["genders"]["groups"]
    assert ends[0] <= gap["scores"]["RMSE"]["difference"] <= ends[1]
    female = test[test["gender"] == "female"]
    errors = [
        np.mean([np.sqrt(((r[f"p_{n}"] - r[f"t_{n}"]) ** 2).mean()) for n in ("arousal", "valence")])
        for _, r in female.groupby("run")
    ]
    assert groups["female"]["scores"]["RMSE"]["mean"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert record["ensemble"]["members"] == 2
    assert record["ensemble"]["comparison"]["metric"] == "CCC"


def test_conformal_intervals_are_those_of_the_sorted_validation_errors(space: Workspace) -> None:
    record = evaluated(space, "rated", conformal=0.8)
    held, margins = [], []
    parts = {s: rows_of(space, "rated", s).groupby(["run", "fold"]) for s in ("validation", "test")}
    for key, rows in parts["validation"]:
        errors = {"validation": rows, "test": parts["test"].get_group(key)}
        sizes = {s: (r["p_arousal"].astype(float) - r["t_arousal"]).abs().to_numpy() for s, r in errors.items()}
        place = math.ceil((len(rows) + 1) * 0.8)
        margin = np.sort(sizes["validation"])[place - 1]
        held += list(sizes["test"] <= margin)
        margins += [margin] * len(sizes["test"])
    found = record["outputs"]["arousal"]["interval"]
    assert found["coverage"]["mean"] == pytest.approx(np.mean(held))
    assert found["margin"]["mean"] == pytest.approx(np.mean(margins))
    short = evaluated(space, "rated", conformal=0.999)
    assert short["outputs"]["arousal"]["interval"]["margin"] is None
    assert short["outputs"]["arousal"]["interval"]["coverage"]["mean"] == 1
    assert "6 of 6 heads have fewer than the 999 validation utterances that 0.999 needs" in short["notes"][0]
    plain_one = Result.find("rated.evaluation-d-conformal-0.8", space.results)
    with pytest.raises(ConfigError, match=r"has no picture; expected .* an evaluation that is of classes or with --suite"):
        wanted(plain_one, ["all"])


def test_conformal_answers_hold_whether_a_label_is_true(space: Workspace) -> None:
    record = evaluated(space, "several", conformal=0.7)
    parts = {s: rows_of(space, "several", s).groupby(["run", "fold"]) for s in ("validation", "test")}
    held, single = [], []
    for key, rows in parts["validation"]:
        test = parts["test"].get_group(key)
        wrong = np.where(rows["y_sadness"] > 0.5, 1 - rows["p_sadness"].astype(float), rows["p_sadness"].astype(float))
        limit = np.sort(wrong)[math.ceil((len(rows) + 1) * 0.7) - 1]
        yes, no = 1 - test["p_sadness"].astype(float) <= limit, test["p_sadness"].astype(float) <= limit
        held += list(np.where(test["y_sadness"] > 0.5, yes, no))
        single += list(yes.to_numpy() != no.to_numpy())
    found = record["outputs"]["sadness"]["answers"]
    assert found["asked"] == 0.7
    assert found["coverage"]["mean"] == pytest.approx(np.mean(held))
    assert found["single"]["mean"] == pytest.approx(np.mean(single))
    assert set(found["by_class"]) == {"yes", "no"}
    assert "Conformal answers" in text_of(record, space.results / "several.json")


def test_conformal_answers_of_exchangeable_utterances_keep_their_promise() -> None:
    random, found = np.random.default_rng(0), []
    for _ in range(60):
        p = random.uniform(size=300)
        frame = pd.DataFrame({"y_x": (random.uniform(size=300) < p**2).astype(float), "p_x": p, "run": 0, "fold": "0"})
        frame["speaker"] = np.repeat(list("abc"), 100)
        found.append(conformal_answers(frame[:200], frame[200:], "x", True, 0.9)["coverage"].mean)
    assert np.mean(found) == pytest.approx(91 / 101, abs=0.015)


def test_conformal_intervals_of_exchangeable_utterances_keep_their_promise() -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(60):
        t = random.normal(size=300)
        frame = pd.DataFrame({"t_x": t, "p_x": t + random.standard_t(3, size=300)})
        frame = frame.assign(run=0, fold="0", speaker=np.repeat(list("abc"), 100))
        found.append(conformal_intervals(frame[:200], frame[200:], "x", True, 0.9)["coverage"].mean)
    # with n = 100 validation utterances the expected coverage is ceil(101 * 0.9) / 101
    assert np.mean(found) == pytest.approx(91 / 101, abs=0.015)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.99])
@pytest.mark.filterwarnings("ignore:the no. of calibration examples")  # at 0.99, of which ours is a note
def test_conformal_sets_answers_and_intervals_are_those_of_crepes(coverage: float) -> None:
    crepes = pytest.importorskip("crepes", reason="crepes is not installed")
    random, names = np.random.default_rng(0), np.array(list("abc"))
    p, has, rated = random.dirichlet(np.ones(3), size=340), random.integers(0, 2, 340), random.normal(size=340)
    true, values = random.choice(names, 340), rated + random.standard_t(3, size=340)
    fold, validation = np.arange(340) % 4 // 3, np.arange(340) < 200
    score = {"sets": 1 - p, "answers": np.stack([1 - p[:, 0], p[:, 0]], axis=1)}
    right = {"sets": true[:, None] == names, "answers": has[:, None] == [1, 0]}
    held: dict[str, list[float]] = {"sets": [], "answers": [], "intervals": []}
    size: dict[str, list[float]] = {"sets": [], "answers": [], "intervals": []}
    for k in (0, 1):  # each fold has a limit of its own, from 150 and from 50 utterances
        known, new = (fold == k) & validation, (fold == k) & ~validation
        for kind in score:
            fitted = crepes.ConformalClassifier().fit(score[kind][known][right[kind][known]], seed=0)
            sets = fitted.predict_set(score[kind][new], confidence=coverage, smoothing=False)
            held[kind] += [*(sets * right[kind][new]).sum(1)]
            size[kind] += [*sets.sum(1)]
        fitted = crepes.ConformalRegressor().fit((rated - values)[known])
        low, high = fitted.predict_int(values[new], confidence=coverage).T
        held["intervals"] += [*((low <= rated[new]) & (rated[new] <= high))]
        size["intervals"] += [*((high - low) / 2)]
    frame = pd.DataFrame(p, columns=[f"p_{name}" for name in names])
    frame = frame.assign(true=true, y_a=has, t_x=rated, p_x=values, run=0, fold=fold.astype(str), speaker="s")
    parts = frame[~validation], frame[validation]
    found = {
        "sets": conformal_sets(*parts, list(names), True, coverage),
        "answers": conformal_answers(*parts, "a", True, coverage),
        "intervals": conformal_intervals(*parts, "x", True, coverage),
    }
    for kind, own in found.items():
        assert own["coverage"].mean == pytest.approx(np.mean(held[kind]), abs=1e-12)
        mine = own["margin" if kind == "intervals" else "size"]
        assert (math.inf if mine is None else mine.mean) == pytest.approx(np.mean(size[kind]), abs=1e-12)


def test_another_corpus_is_predicted_on_the_scale_of_its_ratings(space: Workspace) -> None:
    record = evaluated(space, "rated", dataset="e")
    assert (record["unit"], record["scores"]["CCC"]["n"]) == ("head", 6)
    rows = pd.read_csv(space.results / record["files"]["predictions"]["path"])
    table = load_table("e", space).frame.set_index("utterance_id")
    assert rows["t_arousal"].to_numpy() == pytest.approx(table["arousal"][rows["utterance_id"]].to_numpy())
    assert record["outputs"]["arousal"]["scores"]["PCC"]["mean"] > 0.7
    assert abs(record["outputs"]["arousal"]["bias"]["mean"]) < 0.5  # the features are alike, and so are the ratings


def test_a_class_and_dimensions_have_both(space: Workspace) -> None:
    record = evaluated(space, "mixed", calibrate=True, conformal=0.8)
    of_record = summary(space, "mixed")
    assert record["scores"] == of_record["pooled"]
    found = record["ratings"]["arousal"]
    assert found["scores"]["CCC"]["mean"] == pytest.approx(of_record["ratings"]["arousal"]["CCC"])
    assert found["interval"]["asked"] == record["conformal"]["asked"] == 0.8
    elsewhere = evaluated(space, "mixed", dataset="e")
    assert elsewhere["ratings"]["arousal"]["scores"]["PCC"]["mean"] > 0.7
    assert "ratings" not in evaluated(space, "mixed", dataset="bare")  # it has classes and no ratings


def test_several_labels_have_each_its_scores(space: Workspace) -> None:
    record, test = evaluated(space, "several"), rows_of(space, "several", "test")
    assert record["scores"] == summary(space, "several")["pooled"]
    one = test.drop_duplicates("utterance_id")
    assert record["data"]["classes"]["sadness"] == one["y_sadness"].sum()
    each = [((r["p_sadness"] > 0.5) != (r["y_sadness"] > 0.5)).mean() for _, r in test.groupby("run")]
    assert record["outputs"]["sadness"]["scores"]["Hamming"]["values"] == pytest.approx(each)
    text = text_of(record, space.results / "several.json")
    (line,) = (line for line in text.splitlines() if "right answers" in line)
    assert "F1" in line
    assert not any(word in text for word in (" rated", "bias", "F1_macro", "output "))
    for option in ({"calibrate": True}, {"novelty": ["e"]}, {"explain": True}):
        with pytest.raises(ConfigError, match=rf"--{next(iter(option))} is of heads on classes, and several learned labels"):
            evaluate("several", space, **option)
    with pytest.raises(ConfigError, match="no utterance of bare has several labels"):
        evaluate("several", space, dataset="bare")


def ccc(t: Any, p: Any) -> float:
    """By Lin's definition, of numbers of one dimension."""
    t, p = (np.asarray(values, dtype=float) for values in (t, p))
    return float(2 * np.cov(t, p, bias=True)[0, 1] / (t.var() + p.var() + (t.mean() - p.mean()) ** 2))


def view(space: Workspace, dataset: str, name: str, noise: float) -> None:
    """A view of the store of a corpus, with noise in its features."""
    random = np.random.default_rng(3)
    with FeatureStore(space.store(dataset, "toy")) as store:
        values, ids, own = np.asarray(store.read(store.ids)), store.ids, store.facts
    facts = replace(own, identity={**own.identity, "view": {"name": name}})
    with StoreWriter(space.features(dataset) / f"toy@{name}.h5", facts, overwrite=True) as writer:
        noisy = [v + noise * random.normal(size=v.shape) for v in values]
        writer.commit([Record(i, v.astype(np.float32), bytes(32)) for i, v in zip(ids, noisy, strict=True)])
        writer.merge(ids)


def test_the_suite_judges_dimensions_by_their_ccc(space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view(space, "d", "gain-12", 0.0)
    view(space, "d", "gsm", 4.0)
    options: dict[str, Any] = {"suite": True, "views": ["gain-12", "gsm"], "limits": ["gender=1"]}
    record, path = evaluate("rated", space, **options)
    suite = record["suite"]
    assert suite["metric"] == "CCC"
    gain, gsm, gender, speaker = suite["checks"]
    whole = record["scores"]["CCC"]["mean"]
    assert (gain["value"], gain["score"], gain["UA"], gain["unchanged"], gain["passed"]) == (0, whole, None, None, True)
    rows = pd.read_csv(space.results / record["files"]["suite"]["path"], dtype={"fold": str})
    names = ("arousal", "valence")
    each = [[ccc(r[f"t_{n}"], r[f"p_{n}"]) for n in names] for _, r in rows[rows["view"] == "gsm"].groupby("run")]
    assert gsm["score"] == pytest.approx(np.mean(each), abs=1e-6)
    assert gsm["value"] == pytest.approx(whole - np.mean(each), abs=1e-6)
    assert gsm["value"] > 0.05
    assert not gsm["passed"]
    assert (gsm["limit"], gender["limit"], speaker["limit"]) == (0.05, 1, 0.15)
    assert gender["value"] == abs(record["genders"]["gaps"][0]["scores"]["CCC"]["difference"])
    test = rows_of(space, "rated", "test")
    own = {
        name: np.mean([[ccc(r[f"t_{n}"], r[f"p_{n}"]) for n in names] for _, r in part.groupby("run")])
        for name, part in test.groupby("speaker")
    }
    best, worst = max(own, key=lambda s: own[s]), min(own, key=lambda s: own[s])
    assert speaker["name"] == f"speaker: {best} minus {worst}, above chance"
    gap = output_speaker_gap(test, names)
    assert gap is not None
    assert gap.difference == pytest.approx(own[best] - own[worst], abs=1e-6)
    assert speaker["value"] == pytest.approx(gap.difference - gap.chance.mean)
    assert suite["not_checked"] == ["language", "corpus"]
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(text_of(read_record(path), path).split())
    assert "loss of CCC" in text
    assert "CCC difference" in text
    assert "UA" not in text
    page = tmp_path / "page.html"
    assert main(["results", "report", str(path), "--output", str(page), "--workspace", str(space.root)]) == 0
    assert "CCC of the original audio" in page.read_text()


def test_the_suite_judges_several_labels_by_macro_f1(space: Workspace) -> None:
    view(space, "f", "gsm", 2.0)
    record = evaluated(space, "several", suite=True, views=["gsm"])
    rows = pd.read_csv(space.results / record["files"]["suite"]["path"], dtype={"fold": str})
    test = rows_of(space, "several", "test").sort_values(["run", "utterance_id"])
    rows = rows.sort_values(["run", "utterance_id"])
    names = [c[2:] for c in rows if c.startswith("p_")]
    answers = [(r[[f"p_{n}" for n in names]].to_numpy() > 0.5) for r in (rows, test)]
    check = record["suite"]["checks"][0]
    truth = rows[[f"y_{n}" for n in names]].to_numpy() > 0.5
    of_run = [rows["run"].to_numpy() == k for k in (0, 1)]
    f1 = [f1_score(truth[k], answers[0][k], average="macro", zero_division=0) for k in of_run]
    assert record["suite"]["metric"] == "F1_macro"
    assert check["score"] == pytest.approx(np.mean(f1))
    assert check["unchanged"] == pytest.approx((answers[0] == answers[1]).all(1).mean())


def test_the_gap_of_a_speaker_whom_a_head_misreads_is_not_of_chance() -> None:
    random = np.random.default_rng(0)
    t = random.normal(size=240)
    frame = pd.DataFrame({"t_x": t, "p_x": t + random.normal(size=240) / 2, "run": 0, "fold": "0"})
    frame["utterance_id"] = [f"u{k:03}" for k in range(240)]
    frame["speaker"] = [f"s{k % 8}" for k in range(240)]
    alike = output_speaker_gap(frame, ["x"])
    frame.loc[frame["speaker"] == "s3", "p_x"] *= -1
    apart = output_speaker_gap(frame, ["x"])
    assert alike is not None
    assert apart is not None
    assert alike.p > 0.05
    assert apart.lowest == "s3"
    assert apart.p == 0.001
    assert apart.ci_95 is not None
    low, high = apart.ci_95
    assert low < apart.difference < high
    assert low > alike.difference


def test_a_saved_regressor_of_scikit_learn_is_evaluated_at_home_and_elsewhere(space: Workspace) -> None:
    options = {name: value for name, value in QUICK.items() if name not in ("epochs", "runs")}
    fit("d", space, target="arousal,valence", head="sklearn:Ridge", output=space.results / "ridge.json", runs=1, **options)
    view(space, "d", "gsm", 4.0)
    record = evaluated(space, "ridge", suite=True, views=["gsm"], conformal=0.8)
    assert record["scores"] == summary(space, "ridge")["pooled"]
    rows = pd.read_csv(space.results / record["files"]["suite"]["path"], dtype={"fold": str})
    own = rows[rows["fold"] == rows["fold"].iloc[0]]
    head = load_head(space.results / "ridge" / f"run-000.fold-{int(own['fold'].iloc[0]):02}.safetensors")
    noisy = stored_block(space.features("d") / "toy@gsm.h5", "toy", list(own["utterance_id"]))
    answers = own[["p_arousal", "p_valence"]].to_numpy()
    np.testing.assert_allclose(answers, head.probabilities([noisy]), rtol=1e-5)
    elsewhere = evaluated(space, "ridge", dataset="e")
    found = pd.read_csv(space.results / elsewhere["files"]["predictions"]["path"], dtype={"fold": str})
    found = found[found["fold"] == own["fold"].iloc[0]]
    block = stored_block(space.store("e", "toy"), "toy", list(found["utterance_id"]))
    np.testing.assert_allclose(found[["p_arousal", "p_valence"]], head.probabilities([block]), rtol=1e-5)
    assert elsewhere["scores"]["PCC"]["mean"] > 0.3


def test_the_command_shows_it_and_it_is_listed_and_reported(space: Workspace, capsys: Any, tmp_path: Path) -> None:
    shared = ["--workspace", str(space.root)]
    assert main(["evaluate", "--model", "rated", "--conformal", "0.5", *shared]) == 0
    shown = capsys.readouterr().out
    assert "Conformal intervals" in shown
    path = next(iter(space.results.glob("rated.evaluation-d-conformal-0.5.json")))
    assert text_of(read_record(path), path) in shown
    assert "d, target arousal,valence, 96 utterances" in shown
    assert main(["results", "show", str(path), "--format", "csv", *shared]) == 0
    assert '"d, arousal",pooled,CCC' in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["results", "report", "rated", "--output", str(page), *shared]) == 0
    assert "Evaluation: d-conformal-0.5" in page.read_text()
