"""One head for several corpora: every utterance is tested once, each corpus has its numbers, sampling is balanced."""

import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser.cli import main
from ser.errors import ConfigError
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import make_table, write_table
from ser.results.records.kinds import read_summary
from ser.results.statistics import paired
from ser.results.stored.runs import read_predictions, read_run
from ser.train.checkpoint import load_head
from ser.train.experiments.combine import combine, own_predictions, union_folds
from ser.train.experiments.fit import fit
from ser.train.runs import worker
from ser.train.runs.joined_corpora import balanced, join

FAST: dict[str, Any] = {
    "epochs": 4,
    "lr": 1e-2,
    "jobs": 1,
    "head_options": {"hidden": 16},
    "runs": 2,
    "protocol": "speaker",
    "refit": "never",
}
SHARES = [f"p_{e}" for e in ("anger", "happiness", "neutral", "sadness")]


@pytest.fixture
def two(maker: Any) -> Any:
    """`big` has 4 speakers and 48 utterances, `small` 3 and 24; speakers have the same names."""
    maker.table("big", speakers=4, each=3, language="en")
    maker.store("big", strength=0.7)
    maker.table("small", speakers=3, each=2, language="de")
    maker.store("small", strength=0.7)
    return maker


def predictions(maker: Any, found: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{found['experiment']}.json")


def test_every_utterance_is_tested_once_under_its_own_protocol(two: Any) -> None:
    parts = [load_tensors(n, two.space) for n in ("big", "small")]
    each = [make_folds("speaker", d.table, d.frame, d.labels) for d in parts]
    folds, account = union_folds(each, parts)
    assert [f.name for f in folds] == ["0", "1", "2", "3"]
    tested = np.concatenate([f.test for f in folds])
    assert sorted(tested.tolist()) == list(range(48 + 24))
    for k, fold in enumerate(folds):
        big, small = each[0][k], each[1][k % 3]
        assert fold.train.tolist() == [*big.train, *(small.train + 48)]
        assert fold.validation.tolist() == [*big.validation, *(small.validation + 48)]
        assert fold.test.tolist() == [*big.test, *(small.test + 48 if k < 3 else [])]
        assert fold.carved
        assert account[k]["parts"]["small"] == {"fold": f"s{k % 3}", "tested": k < 3}
        assert account[k]["train"] == len(fold.train)


def test_numbers_of_each_corpus_are_those_of_its_predictions(two: Any) -> None:
    found = combine(["big", "small"], two.space, **FAST)
    assert plain(read_summary(two.space.results / f"{found['experiment']}.json")) == json.loads(json.dumps(found))
    frame = predictions(two, found)
    test = frame[frame["split"] == "test"]
    assert (test["dataset"] == test["utterance_id"].str.partition("-")[0]).all()
    assert (test["speaker"] == test["dataset"] + "/" + test["utterance_id"].str.split("-").str[1]).all()
    for name, number in (("big", 48), ("small", 24)):
        report = found["datasets"][name]
        own = test[test["dataset"] == name]
        for run, rows in own.groupby("run"):
            assert rows["utterance_id"].nunique() == len(rows) == number
            ua = recall_score(rows["true"], rows["predicted"], average="macro")
            assert report["pooled"]["UA"]["values"][run] == pytest.approx(ua)
            by_fold = [recall_score(g["true"], g["predicted"], average="macro") for _, g in rows.groupby("fold")]
            assert report["test"]["UA"]["values"][run] == pytest.approx(np.mean(by_fold))
        assert set(report["folds"]) == {f"s{k}" for k in range(4 if name == "big" else 3)}
        assert set(report["groups"]["speaker"]) == set(report["folds"])
        assert sum(c["support"] for c in report["per_class"].values()) == number
        alone = fit(name, two.space, **FAST)
        assert report["alone"]["experiment"] == alone["experiment"]
        assert report["alone"]["pooled"] == alone["pooled"]
        again = own.assign(
            utterance_id=own["utterance_id"], speaker=own["speaker"].str.partition("/")[2], fold="s" + own["fold"]
        )
        compared = paired.compare(again, predictions(two, alone), list(load_tensors(name, two.space).classes))
        assert plain(compared).items() <= report["comparison"].items()
        gain = report["pooled"]["UA"]["mean"] - alone["pooled"]["UA"]["mean"]
        assert report["comparison"]["difference"] == pytest.approx(gain)
    p = [report["comparison"]["p"] for report in found["datasets"].values()]
    assert [r["comparison"]["p_holm"] for r in found["datasets"].values()] == paired.holm(p)
    assert found["data"]["languages"] == {"big": ["english"], "small": ["german"]}


def test_corpora_are_sampled_equally_often() -> None:
    rows, corpora = np.arange(100, 117), np.array(["a"] * 12 + ["b"] * 5, dtype=object)
    drawn = [balanced(rows, corpora, seed) for seed in (1, 2, 1)]
    assert drawn[0].tolist() == drawn[2].tolist() != drawn[1].tolist()
    for found in drawn:
        values, counts = np.unique(found, return_counts=True)
        assert values.tolist() == rows.tolist()
        assert counts[:12].tolist() == [1] * 12
        assert sorted(counts[12:].tolist()) == [2, 2, 2, 3, 3]


def test_class_weights_are_of_the_sampled_rows_and_refits_are_balanced_too(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = worker.learner_of

    def spying(*given: Any) -> Any:
        learner = real(*given)
        for name in ("train", "retrain"):
            method = getattr(learner, name)
            setattr(learner, name, lambda rows, *a, m=method, n=name, **k: seen.append((n, rows)) or m(rows, *a, **k))
        return learner

    monkeypatch.setattr(worker, "learner_of", spying)
    found = combine(["big", "small"], two.space, **{**FAST, "refit": "auto"})
    union = [(n, rows) for n, rows in seen if rows.ndim == 2]
    assert [n for n, _ in union] == ["train", "retrain"] * 4
    for _, rows in union:
        assert rows.shape[0] == 2
        small = (rows >= 48).sum(1)
        assert (small * 2 == rows.shape[1]).all()
    folder = two.space.results / found["experiment"]
    record, _ = read_run(folder, 0, "0") or pytest.fail("no record")
    assert record["n"]["sampled"] == union[0][1].shape[1] > record["n"]["train"]
    assert record["n"]["train"] == found["data"]["folds"][0]["train"]


def test_run_k_is_itself_and_balance_matters(two: Any) -> None:
    many = combine(["big", "small"], two.space, **FAST, output=two.space.root / "a.json")
    few = combine(["big", "small"], two.space, **{**FAST, "runs": 1}, output=two.space.root / "b.json")
    frames = [read_predictions(two.space.root / f"{n}.json") for n in ("a", "b")]
    np.testing.assert_array_equal(*(f[f["run"] == 0][SHARES].to_numpy() for f in frames))
    plain = combine(["big", "small"], two.space, balance="none", **{**FAST, "runs": 1})
    assert plain["experiment"] not in (many["experiment"], few["experiment"])
    other = predictions(two, plain)
    assert not np.array_equal(other[SHARES], frames[1][SHARES])


def test_corpora_of_equal_size_need_no_balance(maker: Any) -> None:
    for name in ("one", "two"):
        maker.table(name, speakers=3, each=2)
        maker.store(name)
    pair = [combine(["one", "two"], maker.space, balance=b, **FAST) for b in ("corpus", "none")]
    a, b = (predictions(maker, found)[SHARES] for found in pair)
    np.testing.assert_array_equal(a, b)


def test_the_same_ids_in_two_corpora(two: Any) -> None:
    space = two.space
    for ending in ("csv", "json"):
        shutil.copy(space.root / "metadata" / f"small.{ending}", space.root / "metadata" / f"twin.{ending}")
    shutil.copytree(space.features("small"), space.features("twin"))
    found = combine(["small", "twin"], space, head="linear", protocol="speaker", epochs=2, runs=1, jobs=1)
    frame = predictions(two, found)
    assert set(frame["utterance_id"].str.partition("/")[0]) == {"small", "twin"}
    parts = [load_tensors(n, space) for n in ("small", "twin")]
    rows = join(parts).frame.iloc[24:]
    own = own_predictions(frame, parts[1], rows, ["s0", "s1", "s2"])
    test = own[own["split"] == "test"]
    assert sorted(test["utterance_id"]) == sorted(parts[1].frame["utterance_id"])
    assert (test["fold"] == test["speaker"]).all()
    truth = parts[1].frame.set_index("utterance_id")["emotion"]
    assert (truth.loc[test["utterance_id"]].to_numpy() == test["true"].to_numpy()).all()


def test_no_head_is_trained_again_where_one_corpus_has_a_validation_part(maker: Any) -> None:
    maker.table("official")  # of which two speakers are the test part, one the validation part
    maker.store("official")
    maker.table("spoken", speakers=3, each=2)
    frame = pd.read_csv(maker.space.table("spoken"), dtype=str, keep_default_na=False)
    write_table(make_table(frame.assign(split="").to_dict("records"), "spoken", {"corpus": "csv"}), maker.space)
    maker.store("spoken")
    found = combine(["official", "spoken"], maker.space, **{**FAST, "protocol": None, "refit": "auto"})
    assert found["data"]["protocol"] == "official+speaker"
    assert [f["parts"]["official"]["tested"] for f in found["data"]["folds"]] == [True, False, False]
    runs = [read_run(maker.space.results / found["experiment"], 0, k) for k in "012"]
    assert all(run is not None and "again" not in run[0]["selection"] for run in runs)
    for report in found["datasets"].values():
        assert plain(read_summary(maker.space.results / report["alone"]["record"]))["config"]["refit"] == "never"


def test_a_saved_head_is_of_both(two: Any) -> None:
    found = combine(["big", "small"], two.space, save=True, **{**FAST, "runs": 1})
    head = load_head(two.space.results / found["experiment"] / "run-000.fold-02.safetensors")
    assert head.about.dataset == "big+small"
    assert not list(two.space.results.glob("fit-*/*.safetensors"))
    data = load_tensors("small", two.space)
    rows = np.flatnonzero((data.frame["speaker"] == "s2").to_numpy())
    shares = head.probabilities([data.blocks[0].__class__(**{**vars(data.blocks[0]), "values": data.blocks[0].values[rows]})])
    frame = predictions(two, found)
    test = frame[(frame["split"] == "test") & (frame["fold"] == "2") & (frame["dataset"] == "small")]
    assert list(test["utterance_id"]) == list(data.frame["utterance_id"].iloc[rows])
    np.testing.assert_allclose(test[SHARES], shares, atol=1e-5)


def test_one_model_of_each_is_no_verdict(maker: Any) -> None:
    for name in ("one", "two"):
        maker.table(name)  # an official split: one fold, whose test part has two speakers
        maker.store(name)
    options = {**FAST, "protocol": "official", "runs": 1}
    for report in combine(["one", "two"], maker.space, **options)["datasets"].values():
        assert report["comparison"]["tests"]["models"] is None
        assert report["comparison"]["p_holm"] is not None
        assert report["comparison"]["verdict"] == "one model each: no test over models is possible"
    for report in combine(["one", "two"], maker.space, **{**options, "runs": 2})["datasets"].values():
        assert report["comparison"]["verdict"] == "no difference shown"


def test_a_classifier_of_scikit_learn(two: Any) -> None:
    given = {"head": "sklearn:LogisticRegression", "runs": 2, "jobs": 1, "protocol": "speaker"}
    balanced_found = combine(["big", "small"], two.space, **given)
    plain = combine(["big", "small"], two.space, balance="none", **given)
    equal = "sklearn:LogisticRegression draws nothing at random: all runs are equal"
    assert equal in plain["stamps"]
    assert equal not in balanced_found["stamps"]
    assert plain["pooled"]["UA"]["std"] == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_combined(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for datasets, options, said in (
        (["big"], {}, "fewer than two"),
        (["big", "big"], {}, "named twice"),
        (["big", "small"], {"balance": "class"}, "unknown balance"),
        (["big", "small"], {"head": "bilstm", "context": "dialogue"}, "--balance corpus with --context dialogue"),
    ):
        with pytest.raises(ConfigError, match=said):
            combine(datasets, two.space, **options)
    root = str(two.space.root)
    fast = ["--epochs", "2", "--runs", "1", "--jobs", "1", "--head", "linear", "--workspace", root]
    assert main(["combine", "--datasets", "big,small", *fast]) == 0
    shown = capsys.readouterr().out
    assert "Combined minus own head, UA" in shown
    assert "classes     anger, happiness, neutral, sadness" in shown
