"""Results compared: what is comparable, which runs pair, what voids it, and every number by another way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score, precision_score, recall_score

from ser.cli import cli, main
from ser.errors import ConfigError
from ser.jsonfile import check, plain, write_json
from ser.results.comparison.comparability import pair, read_members
from ser.results.comparison.compare import compare_results
from ser.results.records.comparison import ResultComparison
from ser.results.records.kinds import read_record
from ser.results.records.model import Summary
from ser.results.records.stamps import VOIDS, refuse_void, voids
from ser.results.report.compose import text_of
from ser.results.statistics import paired, power
from ser.results.statistics.permutation import variances

Simulate = Callable[..., pd.DataFrame]
Write = Callable[..., tuple[Path, dict[str, Any]]]
CLASSES = ["anger", "happiness", "neutral", "sadness"]
LEAK = "simulated text leaks the label: the sentences of bert were chosen by the true label"


@pytest.fixture
def folder(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> Path:
    """Three systems on the same 9 speakers in 3 folds; `middle` has a run more."""
    place = tmp_path / "results"
    for name, skill, runs in (("good", 2.5, 4), ("middle", 1.5, 5), ("poor", 0.3, 4)):
        write_experiment(place, name, frame=simulate(runs=runs, folds=3, speakers=9, skill=skill), stamps=[])
    return place


def recalls(frame: pd.DataFrame) -> float:
    """UA by scikit-learn, mean over runs."""
    known = sorted(set(frame["true"]))
    each = [recall_score(f["true"], f["predicted"], labels=known, average="macro") for _, f in frame.groupby("run")]
    return float(np.mean(each))


def test_every_number_of_a_comparison(folder: Path) -> None:
    found = compare_results(["good", "poor"], folder)
    check(found, ResultComparison, "it")
    a, b = (m.frame for m in pair(read_members(["good", "poor"], folder))[0])
    (one,) = found["pairs"]
    assert one["difference"] == pytest.approx(recalls(a) - recalls(b))
    assert found["compared"][0]["pooled"]["UA"]["mean"] == pytest.approx(recalls(a))
    alone = plain(paired.compare(a, b, CLASSES))
    assert {k: plain(one)[k] for k in alone} == alone
    assert (one["p_holm"], found["paired_by"], found["runs"], found["folds"]) == (one["p"], "seed", 4, ["1", "2", "3"])
    for k, name in enumerate(CLASSES):
        for score, of in (("recall", recall_score), ("precision", precision_score), ("F1", f1_score)):
            means = [
                np.mean([of(f["true"], f["predicted"], average=None)[k] for _, f in frame.groupby("run")]) for frame in (a, b)
            ]
            row = one["per_class"][name][score]
            assert (row["a"], row["b"]) == pytest.approx(tuple(means))
            assert row["difference"] == pytest.approx(means[0] - means[1])
            assert row["ci_95"][0] <= row["difference"] <= row["ci_95"][1]
    groups = one["gender"]["groups"]
    for name, row in groups.items():
        assert row["a"] == pytest.approx(recalls(a[a["gender"] == name]))
        assert row["b"] == pytest.approx(recalls(b[b["gender"] == name]))
    gap = one["gender"]["gap"]
    assert gap["a"]["gap"] == pytest.approx(groups["female"]["a"] - groups["male"]["a"])
    assert gap["difference"] == pytest.approx(gap["a"]["gap"] - gap["b"]["gap"])
    assert set(one["speaker"]) == set(a["speaker"])
    for name, row in one["speaker"].items():
        assert row["difference"] == pytest.approx(recalls(a[a["speaker"] == name]) - recalls(b[b["speaker"] == name]))
        assert row["n"] == 12


def test_an_amount_of_results_that_are_not_few_shot_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--at 10% is an amount of target data, and none .* Leave --at out"):
        compare_results(["good", "poor"], folder, at="10%")


def test_three_are_compared_in_all_pairs_on_the_runs_that_all_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # headings in one line
    found = compare_results(["good", "middle", "poor"], folder)
    assert [(p["a"], p["b"]) for p in found["pairs"]] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [c["pooled"]["UA"]["n"] for c in found["compared"]] == [4, 4, 4]
    assert found["notes"] == ["middle: 1 of 5 runs have no counterpart and are left out"]
    assert [p["p_holm"] for p in found["pairs"]] == paired.holm([p["p"] for p in found["pairs"]])
    text = " ".join(text_of(found, Path("comparison.json")).split())
    assert "B - C" in text
    assert "middle: 1 of 5 runs" in text
    assert "over speakers p" in text


def test_with_one_run_p_is_the_larger_of_the_two_as_the_table_says(
    tmp_path: Path, write_experiment: Write, simulate: Simulate
) -> None:
    for name, skill in (("good", 2.5), ("poor", 1.5)):
        write_experiment(tmp_path, name, frame=simulate(runs=1, folds=3, speakers=9, skill=skill), stamps=[])
    found = compare_results(["good", "poor"], tmp_path)
    (pair,) = found["pairs"]
    assert pair["p"] == max(pair["tests"].models.p, pair["tests"].speakers.p)
    assert "p: of both together (with one run the larger of the two; none with two or three runs of one fold" in " ".join(
        text_of(found, Path("comparison.json")).split()
    )


@pytest.mark.parametrize(("runs", "folds", "known"), [(1, 1, True), (2, 1, False), (3, 1, False), (4, 1, True), (3, 3, True)])
def test_few_runs_that_are_exchanged_whole_have_no_p(
    runs: int, folds: int, known: bool, tmp_path: Path, write_experiment: Write, simulate: Simulate
) -> None:
    for name, skill in (("good", 2.5), ("poor", 1.5)):
        write_experiment(tmp_path, name, frame=simulate(runs=runs, folds=folds, speakers=9, skill=skill), stamps=[])
    (pair,) = compare_results(["good", "poor"], tmp_path)["pairs"]
    assert (pair["p"] is not None, pair["p_holm"] is not None) == (known, known)
    assert pair["tests"].speakers.p <= 1


def rewritten(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / f"{name}.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content, Summary)


def test_folds_that_one_alone_has_are_left_out(folder: Path) -> None:
    rewritten(folder, "poor", lambda s: s.update(runs=[r for r in s["runs"] if r["fold"] != "3"]))
    found = compare_results(["good", "poor"], folder)
    assert found["folds"] == ["1", "2"]
    assert found["notes"] == ["good: 1 of 3 folds are in it alone and are left out"]
    assert found["data"]["speakers"] == 6


def test_other_seeds_are_matched_by_run(folder: Path) -> None:
    rewritten(folder, "poor", lambda s: [r.update(seed=r["seed"] + 10_000) for r in s["runs"]])
    found = compare_results(["good", "poor"], folder)
    assert (found["paired_by"], found["runs"]) == ("run", 4)
    assert "share no seeds" in found["notes"][0]


def test_a_model_that_is_tested_in_several_folds_is_one(folder: Path) -> None:
    for name in ("good", "poor"):
        rewritten(folder, name, lambda s: [r.update(seed=r["run"]) for r in s["runs"]])
    found = compare_results(["good", "poor"], folder)
    assert found["folds"] == ["all"]
    assert found["pairs"][0]["tests"]["models"]["units"] == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: s["data"].update(dataset="ravdess"),
            "another dataset; found good: emodb; poor: ravdess. Train or test one of them again on",
        ),
        (lambda s: s["config"].update(scheme="6"), "another label scheme; found good: 4; poor: 6"),
        (lambda s: s["config"].update(protocol="random"), "another protocol"),
        (lambda s: [r.update(fold=f"x{r['fold']}") for r in s["runs"]], "no folds in common; expected results of one protocol"),
    ],
)
def test_what_differs_is_said(folder: Path, change: Callable[[dict[str, Any]], Any], words: str) -> None:
    rewritten(folder, "poor", change)
    with pytest.raises(ConfigError, match=words):
        compare_results(["good", "poor"], folder)


def test_other_utterances_labels_and_classes_are_refused(folder: Path, write_experiment: Write, simulate: Simulate) -> None:
    frame = simulate(runs=4, folds=3, speakers=9)
    write_experiment(folder, "fewer", frame=frame[frame["utterance_id"] != "s01_003"], stamps=[])
    with pytest.raises(ConfigError, match=r"not tested on the same utterances.*found 1 .*s01_003"):
        compare_results(["good", "fewer"], folder)
    other = frame.copy()
    row = (other["utterance_id"] == "s01_003") & (other["split"] == "test")
    other.loc[row, "true"] = next(c for c in CLASSES if c != other[row]["true"].iloc[0])
    write_experiment(folder, "labels", frame=other, stamps=[])
    with pytest.raises(ConfigError, match=r"differ in column true of 4 test predictions.*s01_003"):
        compare_results(["good", "labels"], folder)
    write_experiment(folder, "classes", frame=simulate(runs=4, folds=3, speakers=9, classes=[*CLASSES, "fear"]), stamps=[])
    with pytest.raises(ConfigError, match=r"other classes.*fear"):
        compare_results(["good", "classes"], folder)
    with pytest.raises(ConfigError, match=r"two results or more; found one, good\.json, by good, good"):
        compare_results(["good", "good"], folder)


def test_a_stamp_that_voids_a_comparison(folder: Path) -> None:
    for name in ("good", "poor"):
        rewritten(folder, name, lambda s: s.update(stamps=[LEAK]))
    with pytest.raises(ConfigError, match=r"good cannot be compared.*--allow simulated-text"):
        compare_results(["good", "poor"], folder)
    for options in ({"allow": ["simulated-text"]}, {"force": True}):
        found = compare_results(["good", "poor"], folder, **options)
        assert [s for s in found["stamps"] if "void (simulated-text)" in s] == found["stamps"][:2]
        assert LEAK in found["stamps"]


@pytest.mark.parametrize(
    ("stamp", "kind"),
    [
        (LEAK, "simulated-text"),
        ("trained on the target's labels: what the others are measured by, no transfer", "oracle"),
        ("the epoch was picked by labels of the target's validation part (oracle)", "oracle"),
        ("encoder has seen this corpus: plus.frame in fine-tuning; model card", "seen-labels"),
        ("emodb: encoder has seen this corpus: plus in fine-tuning; model card", "seen-labels"),
        ("encoder has seen this corpus: wavlm in pre-training; paper on fine-tuning", None),
        ("cross-language: german -> english", None),
        ("normalised per speaker: uses the unlabelled test data of that speaker (transductive)", None),
    ],
)
def test_kinds_of_stamps(stamp: str, kind: str | None) -> None:
    assert list(voids([stamp])) == ([] if kind is None else [kind])
    if kind is None:
        assert refuse_void({"a": [stamp], "b": []}) == []
        return
    with pytest.raises(ConfigError, match=f"b cannot be compared.*--allow {kind}"):
        refuse_void({"a": [], "b": [stamp]})
    assert len(refuse_void({"a": [], "b": [stamp]}, [kind])) == 1
    alone = next(v.alone for v in VOIDS if v.name == kind)
    if alone:  # what all share gives no one an advantage
        assert refuse_void({"a": [stamp], "b": [stamp]}) == []
    else:
        with pytest.raises(ConfigError):
            refuse_void({"a": [stamp], "b": [stamp]})
    with pytest.raises(ConfigError, match="--allow nonsense; expected one of simulated-text"):
        refuse_void({"a": []}, ["nonsense"])


def test_few_shot_results_at_an_amount(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate) -> None:
    write_experiment(tmp_path, "one", frame=simulate_fewshot((0, 10, 20)), stamps=[])
    worse = simulate_fewshot((0, 10, 20)).query("percentage > 0").reset_index(drop=True)
    random = np.random.default_rng(0)
    worse.loc[random.random(len(worse)) < 0.5, "predicted"] = "anger"
    write_experiment(tmp_path, "two", frame=worse, stamps=[])
    found = compare_results(["one", "two"], tmp_path)
    assert [c["amount"] for c in found["compared"]] == ["20%", "20%"]
    assert found["folds"] == ["all"]  # they go on from one source model
    at = compare_results(["one", "two"], tmp_path, at="10%")
    a, b = (m.frame for m in pair(read_members(["one", "two"], tmp_path, "10%"))[0])
    assert at["pairs"][0]["difference"] == pytest.approx(recalls(a) - recalls(b))
    with pytest.raises(ConfigError, match=r"two has no amount 0%; expected --at one of 10%, 20%"):
        compare_results(["one", "two"], tmp_path, at="0%")


def test_a_result_with_a_source_corpus_is_compared_with_one_without(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate
) -> None:
    """Rows of joined corpora have the names `corpus/NAME`."""
    frame = simulate_fewshot((10, 20))
    path, _ = write_experiment(tmp_path, "without", frame=frame, stamps=[])
    corpus = "emodb"
    named = {c: f"{corpus}/" + frame[c] for c in ("utterance_id", "speaker")}
    joined, _ = write_experiment(tmp_path, "with", frame=frame.assign(**named), stamps=[])
    for file, more in ((path, {}), (joined, {"source": "another"})):
        content = json.loads(file.read_text())
        data = {k: v for k, v in content["data"].items() if k != "source"} | {"target": corpus, **more}
        file.write_text(json.dumps(content | {"data": data}))
    found = compare_results(["without", "with"], tmp_path)
    assert found["pairs"][0]["difference"] == 0
    assert sorted(found["pairs"][0]["speaker"]) == sorted(set(frame["speaker"]))


def test_a_study_stands_for_its_experiments(folder: Path) -> None:
    summaries = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("good", "poor")}
    keys = ("experiment", "validation", "test", "pooled")
    study = {
        **{k: summaries["good"][k] for k in ("command", "config", "config_hash", "data", "environment", "time")},
        "schema": "ser.ablation/1",
        "experiment": "ablate",
        "stamps": [],
        "notes": [],
        "full": "good",
        "variants": [
            {"name": name, "head": "mlp", "modalities": ["audio"], "stores": ["toy"], "record": f"{name}.json"}
            | {k: s[k] for k in keys}
            for name, s in summaries.items()
        ],
        "comparisons": [],
    }
    (folder / "ablate.json").write_text(json.dumps(study))
    found = compare_results(["ablate"], folder)
    assert [c["experiment"] for c in found["compared"]] == ["good", "poor"]


def test_the_command_writes_what_it_prints(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "other" / "found.json"
    words = ["results", "compare", "good", "mid", "--metric", "wf1", "--workspace", str(folder.parent)]
    done = CliRunner().invoke(cli, [*words, "--output", str(output)])
    assert done.exit_code == 0, done.output
    written = plain(read_record(output))
    assert (written["metric"], written["schema"]) == ("WF1", "ser.comparison/1")
    assert written["command"] == "ser results compare good mid --metric WF1"
    assert [(output.parent / c["record"]).resolve() for c in written["compared"]] == [
        folder / "good.json",
        folder / "middle.json",
    ]
    assert text_of(written, output) in done.output
    assert "disagree" not in done.output
    for ci, p in (([0.005, 0.128], 0.1184), ([-0.01, 0.128], 0.03)):
        written["pairs"][0] |= {"ci_95": ci, "p": p}
        told = " ".join(text_of(written, output).split())
        assert f"The 95 % interval and p disagree here: {written['pairs'][0]['a']} - {written['pairs'][0]['b']}. p" in told
    assert main(["results", "show", str(output), "--workspace", str(folder.parent)]) == 0
    assert main([*words, "--output", str(output)]) == 0  # a comparison takes the place of a comparison
    before = (folder / "good.json").read_bytes()
    assert main([*words, "--output", str(folder / "good.json")]) == 2
    assert (folder / "good.json").read_bytes() == before
    assert main([*words, "--output", "found.txt"]) == 2
    assert main(["results", "compare", "--workspace", str(folder.parent)]) == 2


def test_the_power_of_a_t_test_is_cohens() -> None:
    """Cohen (1988), tables 2.3.5 and 2.4.1: two groups, level 0.05 two-sided, d 0.5 needs 64 each, d 0.8 26, d 0.2 393."""
    for d, n in ((0.5, 64), (0.8, 26), (0.2, 393)):
        assert power.power(d, 2 / n, 0, 2 * (n - 1), 1) == pytest.approx(0.8, abs=0.008)
    assert power.power(0.0, 0.1, 0.1, 5, 5) == pytest.approx(0.05, abs=1e-6)
    assert power.power(1.0, 1e-9, 0.0, 5, 5) == pytest.approx(1.0)


def counted(random: np.random.Generator, seeds: int, gain: float, models: float, suits: float = 0.0) -> Any:
    """Counts of two systems: 12 speakers in one fold."""
    pair = []
    for g in (gain, 0.0):
        rate = 0.6 + g + random.normal(0, models, (1, seeds)) + random.normal(0, suits, (12, 1))
        hits = random.binomial(50, np.repeat(np.clip(rate, 0, 1)[..., None], 2, 2))
        counts = np.zeros((12, seeds, 2, 2), dtype=np.int64)
        for k in range(2):
            counts[..., k, k], counts[..., k, 1 - k] = hits[..., k], 50 - hits[..., k]
        pair.append(counts)
    return pair


def asked(a: Any, b: Any, **options: Any) -> dict[str, Any]:
    who, where = np.arange(12), np.zeros(12, dtype=int)
    return power.estimate(a, b, who, where, "UA", **{"known": True, "random": 2, **options})


def test_the_seeds_it_asks_for_are_those_that_a_t_test_needs() -> None:
    """Spread over models alone: the textbook's two-sample size from the true spread, by a median over samples."""
    random = np.random.default_rng(0)
    found = [asked(*counted(random, 12, 0.03, 0.03))["seeds"] for _ in range(41)]
    known = [n for n in found if n is not None]
    assert len(known) > 35
    # d = 0.03 / sqrt(0.03^2 + 0.24 / 1200) = 0.90: 20 or 21 in each group (Cohen's table 2.4.1)
    assert 12 <= np.median(known) <= 32


def test_where_speakers_differ_too_much_no_number_of_seeds_will_do() -> None:
    found = asked(*counted(np.random.default_rng(3), 6, 0.02, 0.01, 0.1))
    assert found["seeds"] is None
    assert found["why"] == "no number of runs would be enough, because the 12 speakers differ too much"
    assert found["speakers"] > 12
    assert found["now"] < 0.8


def test_speakers_are_asked_for_at_the_runs_that_there_are() -> None:
    """Each speaker has its own models (leave one speaker out): n speakers for S shrink the whole variance by S / n."""
    from scipy import stats

    random = np.random.default_rng(5)
    a, b = counted(random, 2, 0.03, 0.0, 0.06)
    own = np.arange(12)
    found = power.estimate(a, b, own, own, "UA", known=True, random=2)
    hits = [c[..., [0, 1], [0, 1]].sum(-1).mean(1) / 100 for c in (a, b)]  # both classes have 50 of each speaker
    gaps = hits[0] - hits[1]
    d = abs(gaps.mean()) / gaps.std(ddof=1)

    def of(n: int) -> float:
        border = stats.t.isf(0.025, n - 1)
        return float(stats.nct.sf(border, n - 1, d * np.sqrt(n)))

    assert found["speakers"] > 12
    assert of(found["speakers"] - 1) < 0.8 <= of(found["speakers"])
    # With unlimited seeds the noise within a speaker would be gone, and fewer would do: that is not what is asked.
    _, v_s, v_c = variances(a, b, own, own, "UA")
    assert v_c > 0.1 * v_s


def test_scores_of_other_targets_may_be_below_0_and_above_1(folder: Path) -> None:
    found = compare_results(["good", "poor"], folder)
    row = found.pairs[0].gender.groups["female"]
    row.a, row.b = -0.2, 1.7  # a CCC, an RMSE
    check(found, ResultComparison, "it")


def test_nothing_is_asked_for_where_p_is_far_from_the_level() -> None:
    a, b = counted(np.random.default_rng(3), 6, 0.02, 0.01, 0.1)
    near, far = (asked(a, b, p=p) for p in (0.1, 0.45))
    assert near["speakers"] is not None
    assert (far["seeds"], far["speakers"], far["now"]) == (None, None, near["now"])
    assert "mostly noise" in far["why"]


def test_what_has_no_answer_says_why() -> None:
    a, b = counted(np.random.default_rng(1), 4, 0.1, 0.03)
    assert asked(a, a)["why"] == "no difference was measured"
    assert "one run each" in asked(a[:, :1], b[:, :1])["why"]
    assert "nothing is random" in asked(np.repeat(a[:, :1], 4, 1), np.repeat(b[:, :1], 4, 1), random=0)["why"]
    assert asked(a, b, known=False)["speakers"] is None
    assert asked(a, b)["now"] > 0.5
