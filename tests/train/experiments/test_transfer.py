"""Transfer: two corpora joined, variants on the same seeds, gains recomputed, and nothing learnt from the target's labels."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.cli import main
from ser.errors import ConfigError
from ser.features.normalise import normalise
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.metadata.table import load_table, write_table
from ser.results.metrics.swapped_labels import suspects
from ser.results.records.kinds import read_record, read_summary
from ser.results.statistics.gains import comparisons, transfer_verdict
from ser.results.stored.runs import read_predictions
from ser.results.studies.transfer import selection_score
from ser.results.verification.verify import verify
from ser.train.experiments.adapt import adapt
from ser.train.experiments.finetune import finetune
from ser.train.experiments.fit import fit
from ser.train.experiments.transfer import SOURCE_ONLY, TARGET_ONLY, transfer
from ser.train.runs import scheduler
from ser.train.runs.joined_corpora import join
from ser.train.runs.options import FitOptions
from ser.train.runs.source_target import prepare_pair

FAST: dict[str, Any] = {"epochs": 4, "runs": 2, "protocol": "speaker", "jobs": 1, "lr": 1e-2, "normalize": "none"}
FAST["head_options"] = {"hidden": "64,32"}
SHARED = {"encoder": "toy"}


@pytest.fixture
def space(maker: Any) -> Any:
    """Two corpora with three shared classes; the features of one emotion lie in the same place in both."""
    maker.table("a", speakers=6)
    maker.table("b", speakers=4, emotions=("anger", "boredom", "neutral", "sadness"))
    for name in ("a", "b"):
        maker.store(name, identity=SHARED, strength=0.6)
    return maker.space


def predictions(space: Any, study: dict[str, Any], name: str) -> pd.DataFrame:
    (row,) = [v for v in study["variants"] if v["name"] == name]
    path = space.results / row["record"]
    return read_predictions(path)


def test_two_corpora_joined_keep_their_rows(space: Any) -> None:
    a, b = (load_tensors(name, space, classes=["anger", "neutral", "sadness"]) for name in "ab")
    both = join([a, b])
    assert list(both.frame["utterance_id"]) == [*a.frame["utterance_id"], *b.frame["utterance_id"]]
    assert set(both.frame["speaker"]) == {f"a/s{k}" for k in range(6)} | {f"b/s{k}" for k in range(4)}
    np.testing.assert_array_equal(both.blocks[0].values, np.concatenate([a.blocks[0].values, b.blocks[0].values]))
    np.testing.assert_array_equal(both.labels, np.concatenate([a.labels, b.labels]))
    each, _ = normalise(both, "corpus", np.arange(3), 0)
    for rows, own in ((slice(0, len(a.labels)), a), (slice(len(a.labels), None), b)):
        values = own.blocks[0].values
        expected = (values - values.mean(0)) / values.std(0)
        np.testing.assert_allclose(each.blocks[0].values[rows], expected, atol=1e-5)


def test_frames_of_two_corpora_are_joined_by_their_offsets(maker: Any) -> None:
    for name in ("a", "b"):
        maker.table(name, speakers=4)
        maker.store(name, framewise=True, identity=SHARED)
    a, b = (load_tensors(name, maker.space) for name in "ab")
    block = join([a, b]).blocks[0]
    assert block.offsets is not None
    for own, first in ((a, 0), (b, len(a.labels))):
        for k in (0, len(own.labels) - 1):
            expected = own.blocks[0].rows(np.array([k]))
            np.testing.assert_array_equal(block.rows(np.array([first + k])), expected)


def test_ids_that_two_corpora_share_are_told_apart(space: Any) -> None:
    shutil.copy(space.table("a"), space.table("c"))
    a = load_tensors("a", space)
    both = join([a, a.__class__(**{**vars(a), "dataset": "c"})])
    assert both.frame["utterance_id"].is_unique
    assert both.frame["utterance_id"].iloc[0] == "a/" + a.frame["utterance_id"].iloc[0]


def test_the_folds_of_a_pair_share_no_row(space: Any) -> None:
    pair = prepare_pair("a", "b", FitOptions(space, protocol="speaker"))
    size = len(pair.source.labels)
    for source, adapted, own, tuned in zip(pair.source_only, pair.adapted, pair.target_only, pair.tuned, strict=True):
        assert max(source.train.max(), source.validation.max()) < size <= min(own.train.min(), own.test.min())
        assert adapted.unlabelled is not None
        assert adapted.oracle is not None
        assert tuned.before is not None
        assert not set(adapted.unlabelled) & set(adapted.test)
        assert sorted([*adapted.unlabelled, *adapted.test]) == list(range(size, len(pair.setup.data.labels)))
        assert set(adapted.oracle) <= set(adapted.unlabelled)
        np.testing.assert_array_equal(tuned.before.train, source.train)
        assert not tuned.before.test.size
        assert [*tuned.test] == [*own.test] == [*source.test]
        assert source.stream == adapted.stream == tuned.before.stream == "source"


def test_adaptation_stands_beside_source_and_oracle_and_its_gains_add_up(space: Any) -> None:
    study = adapt("a", "b", space, methods=["mmd", "coral"], weights=[0.5, 2.0], **FAST)
    names = [v["name"] for v in study["variants"]]
    assert names == [SOURCE_ONLY, "mmd 0.5", "mmd 2", "coral 0.5", "coral 2", TARGET_ONLY]
    assert study == plain(read_record(space.results / f"{study['experiment']}.json"))
    ua = {v["name"]: v["pooled"]["UA"]["mean"] for v in study["variants"]}
    gap = ua[TARGET_ONLY] - ua[SOURCE_ONLY]
    for c in study["comparisons"]:
        assert c["difference"] == pytest.approx(ua[c["variant"]] - ua[SOURCE_ONLY])
        if c["variant"] != TARGET_ONLY and study["comparisons"][-1]["ci_95"][0] > 0:
            assert c["gap_closed"] == pytest.approx(c["difference"] / gap)
        assert "too few runs" in c["verdict"]
        assert (c["p"], c["p_holm"]) == (None, None)  # without a test there is no p
    for method in ("mmd", "coral"):
        own = [v for v in study["variants"] if v["method"] == method]
        assert sorted(v["chosen"] for v in own) == [False, True]
        assert own[0]["chosen"] == (own[0]["selection_score"] >= own[1]["selection_score"])
    shares = [predictions(space, study, name).filter(like="p_").to_numpy() for name in names]
    assert all(not np.array_equal(shares[1], other) for other in shares[2:5])
    space_of = study["data"]["label_space"]
    assert space_of["classes"] == ["anger", "neutral", "sadness"]
    assert [c["left_out"] for c in space_of["corpora"]] == [{"happiness": 24}, {"boredom": 16}]


def test_what_a_study_says_of_its_corpora_is_compared_with_its_experiments(space: Any) -> None:
    study = adapt("a", "b", space, methods=["coral"], **FAST)
    path = space.results / f"{study['experiment']}.json"
    whole = path.read_text()

    def differences(*alter: Any) -> list[str]:
        content = json.loads(whole)
        for change in alter:
            change(content)
        path.write_text(json.dumps(content))
        return [fault.where for fault in verify(path, space).differences]

    assert differences() == []
    assert any("datasets.b" in w for w in differences(lambda c: c["data"]["datasets"]["b"].update(utterances=1)))
    assert any("label_space" in w for w in differences(lambda c: c["data"]["label_space"]["corpora"][0]["left_out"].clear()))
    assert "$.data.source" in differences(lambda c: c["data"].update(source="b"))
    assert "$.data.protocol" in differences(lambda c: c["data"].update(protocol="random"))
    for record in {v["record"] for v in study["variants"]}:
        content = json.loads((space.results / record).read_text())
        (space.results / record).write_text(json.dumps({**content, "stamps": [*content["stamps"], "heard before"]}))
    assert "$.stamps" in differences()
    assert "$.stamps" not in differences(lambda c: c["stamps"].append("heard before"))


def test_the_source_is_trained_once_a_seed_and_records_are_used_again(space: Any, monkeypatch: Any) -> None:
    units: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, given: Any, jobs: int) -> Any:
        units.extend(given)
        return real(function, given, jobs)

    monkeypatch.setattr(scheduler, "run_units", counting)
    first = adapt("a", "b", space, methods=["coral"], stack=2, **FAST)
    assert [len(folds) for _, folds, _, _ in units] == [4, *[1] * 4, *[1] * 4]  # source only; adapted; target only
    units.clear()
    again = adapt("a", "b", space, methods=["coral", "mmd"], stack=2, **FAST)
    assert {job.recipe.adapt for job, _, _, _ in units} == {"mmd"}
    assert again["variants"][0] == first["variants"][0]
    assert again["variants"][1] == first["variants"][1]


@pytest.mark.parametrize("recorded", [0, 1])
def test_the_source_of_a_fine_tuned_head_is_trained_once_for_the_source_alone(
    recorded: int, space: Any, monkeypatch: Any
) -> None:
    """Its records are those of `ser transfer` but for times, whichever of its runs are there already."""

    alone = transfer("a", "b", space, **FAST)
    expected = runs_of(space, alone["experiment"])
    shutil.rmtree(space.results)
    if recorded:
        transfer("a", "b", space, **{**FAST, "runs": recorded})
    units: list[Any] = []
    real = scheduler.run_units
    monkeypatch.setattr(scheduler, "run_units", lambda f, given, jobs: real(f, units.extend(given) or given, jobs))
    study = finetune("a", "b", space, **FAST)
    assert {job.experiment.split("-")[2] for job, _, _, _ in units} == {"fine", "target"}
    (along,) = [job.along for job, _, _, _ in units if job.along is not None]
    assert along.runs == set(range(recorded, 2))
    (row,) = [v for v in study["variants"] if v["name"] == SOURCE_ONLY]
    assert runs_of(space, Path(row["record"]).stem) == expected
    units.clear()
    assert finetune("a", "b", space, **FAST)["variants"] == study["variants"]
    assert not units


def runs_of(space: Any, experiment: str) -> dict[str, Any]:
    """All records of runs of an experiment, without their times, and their predictions."""
    found: dict[str, Any] = {}
    for path in sorted((space.results / experiment).iterdir()):
        if path.suffix == ".json":
            found[path.name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
        else:
            found[path.name] = path.read_bytes()
    assert len(found) == 16  # 2 runs on 4 folds, each with its predictions
    return found


def test_a_study_of_fewer_runs_leaves_the_records_of_a_longer_one(space: Any) -> None:
    longer = adapt("a", "b", space, methods=["coral"], **FAST)
    paths = [space.results / v["record"] for v in longer["variants"]]
    before = [path.read_bytes() for path in paths]
    shorter = adapt("a", "b", space, methods=["coral"], **{**FAST, "runs": 1})
    assert [path.read_bytes() for path in paths] == before
    assert [v["pooled"]["UA"]["n"] for v in shorter["variants"]] == [1, 1, 1]
    adapt("a", "b", space, methods=["coral"], **{**FAST, "runs": 3})
    assert [plain(read_summary(path))["pooled"]["UA"]["n"] for path in paths] == [3, 3, 3]


def test_source_only_is_the_same_head_in_every_fold(space: Any) -> None:
    study = adapt("a", "b", space, methods=["coral"], **FAST)
    frame = predictions(space, study, SOURCE_ONLY)
    validation = frame[frame["split"] == "validation"]
    for _, one in validation.groupby(["run", "utterance_id"]):
        assert len(one) == 4
        assert one.filter(like="p_").drop_duplicates().shape[0] == 1


def permute_labels(space: Any, name: str) -> None:
    table = load_table(name, space)
    frame = table.frame.copy()
    order = np.random.default_rng(3).permutation(len(frame))
    frame[["emotion", "label"]] = frame[["emotion", "label"]].to_numpy()[order]
    write_table(type(table)(**{**vars(table), "frame": frame}), space)


@pytest.mark.parametrize("criterion", ["source", "entropy", "iwv", "dev"])
def test_labels_of_the_target_change_nothing_but_test_scores(maker: Any, criterion: str) -> None:
    for name in ("a", "b"):
        maker.table(name, speakers=4)
        maker.store(name, identity=SHARED, strength=0.6)
    found = []
    for _ in range(2):
        study = adapt("a", "b", maker.space, methods=["dann"], criterion=criterion, **{**FAST, "epochs": 3, "runs": 1})
        found.append([predictions(maker.space, study, name) for name in (SOURCE_ONLY, "dann 1")])
        permute_labels(maker.space, "b")
    for before, after in zip(*found, strict=True):
        assert (before["true"] != after["true"]).any()
        pd.testing.assert_frame_equal(before.drop(columns="true"), after.drop(columns="true"))


def test_the_oracle_criterion_is_stamped(space: Any) -> None:
    study = adapt("a", "b", space, methods=["coral"], criterion="oracle", **FAST)
    rows = {v["name"]: v for v in study["variants"]}
    assert any("labels of the target's validation part" in s for s in rows["coral 1"]["stamps"])
    record = plain(read_summary(space.results / rows["coral 1"]["record"]))
    assert set(rows["coral 1"]["stamps"]) <= set(record["stamps"])
    assert any("no transfer" in s for s in rows[TARGET_ONLY]["stamps"])
    assert [s for s in study["stamps"] if "oracle" in s] == [f"coral 1: {rows['coral 1']['stamps'][0]}"]


def test_what_is_not_adapted_at_all_is_source_only(space: Any) -> None:
    still = {"dropout": 0.0, "input_dropout": 0.0}  # masks are drawn for target rows too
    study = adapt("a", "b", space, methods=["mmd"], weights=[0.0, 1.0], **{**FAST, "head_options": still})
    shares = {v["name"]: predictions(space, study, v["name"]).filter(like="p_").to_numpy() for v in study["variants"]}
    np.testing.assert_allclose(shares["mmd 0"], shares[SOURCE_ONLY], atol=1e-4)
    assert not np.allclose(shares["mmd 1"], shares[SOURCE_ONLY], atol=1e-4)
    records = [plain(read_summary(space.results / v["record"])) for v in study["variants"][:2]]
    seeds = [[(r["run"], r["fold"], r["seed"]) for r in record["runs"]] for record in records]
    assert seeds[0] == seeds[1]


def test_lambdas_that_are_close_are_two_and_none_alone_has_the_two_that_are_always_there(space: Any) -> None:
    options = {**FAST, "epochs": 1, "runs": 1}
    close = [0.1234567, 0.1234568]
    study = adapt("a", "b", space, methods=["none", "coral"], weights=close, **options)
    names = [f"coral {weight}" for weight in close]
    assert [v["name"] for v in study["variants"]] == [SOURCE_ONLY, *names, TARGET_ONLY]
    assert [c["variant"] for c in study["comparisons"]] == [*names, TARGET_ONLY]
    alone = adapt("a", "b", space, methods=["none"], **options)
    assert [v["name"] for v in alone["variants"]] == [SOURCE_ONLY, TARGET_ONLY]


def test_finetuning_goes_on_from_the_source(space: Any) -> None:
    still = finetune("a", "b", space, lr_factor=1e-6, tune_epochs=1, **FAST)
    shares = [predictions(space, still, n).filter(like="p_").to_numpy() for n in (SOURCE_ONLY, "fine-tuned")]
    frames = [predictions(space, still, n) for n in (SOURCE_ONLY, "fine-tuned")]
    tests = [s[f["split"] == "test"] for s, f in zip(shares, frames, strict=True)]
    np.testing.assert_allclose(tests[0], tests[1], atol=1e-4)  # hardly any learning: the source's head
    moved = finetune("a", "b", space, lr_factor=1.0, freeze="encoder", **FAST)
    ua = {v["name"]: v["pooled"]["UA"]["mean"] for v in moved["variants"]}
    assert set(ua) == {SOURCE_ONLY, "fine-tuned, encoder frozen", TARGET_ONLY}
    assert moved["variants"][0] == still["variants"][0]
    each = [f"{n} {ua[n]:.3f}" for n in ("fine-tuned, encoder frozen", SOURCE_ONLY, TARGET_ONLY)]
    assert f"UA on a -> b: {'; '.join(each)}; 2 runs." in repr(moved)


def test_what_cannot_be_adapted_is_refused(space: Any) -> None:
    for given, said in (
        ({"methods": ["dan"]}, "Did you mean 'dann'"),
        ({"methods": []}, "no method"),
        ({"head": "linear"}, "embedding"),
        ({"head": "sklearn:SVC"}, "cannot be adapted"),
        ({"weights": [-1.0]}, "--lambda"),
        ({"methods": "none", "weights": 1.0}, r"--lambda is of a method of adaptation.*Leave --lambda out\."),
        ({"methods": "oracle", "criterion": "dev"}, "--criterion is of a method"),
        ({"methods": ["none"], "ramp": "dann"}, "--ramp is of a method"),
    ):
        with pytest.raises(ConfigError, match=said):
            adapt("a", "b", space, **{**FAST, "head_options": {}, **given})
    with pytest.raises(ConfigError, match="named twice"):
        adapt("a", "a", space, **FAST)
    with pytest.raises(ConfigError, match="above 0"):
        finetune("a", "b", space, lr_factor=0.0, **FAST)
    assert not list(Path(space.results).glob("*"))


def confused(shares: list[list[float]], each: int = 100, speaker: str = "") -> pd.DataFrame:
    rows = [
        {"true": str(t), "predicted": str(p), "split": "test", "speaker": speaker}
        for t, row in enumerate(shares)
        for p, share in enumerate(row)
        for _ in range(round(share * each))
    ]
    return pd.DataFrame(rows)


def test_swapped_labels_are_named_and_mere_confusion_is_not() -> None:
    classes = ["0", "1", "2"]
    swapped = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]]
    (found,) = suspects(confused(swapped), classes)
    assert found["classes"] == ["1", "2"]
    assert [c["share"] for c in found["confusion"]] == pytest.approx([0.8, 0.7])
    weak = [[0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.3, 0.4, 0.3]]
    collapsed = [[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]
    for other in (weak, collapsed, np.eye(3).tolist()):
        assert suspects(confused(other), classes) == []


def test_a_weak_swap_counts_if_it_holds_over_speakers() -> None:
    """Recall as it is: 0.3 and 0.3; exchanged: 0.4 and 0.4. Of ten speakers two are the other way round."""
    classes = ["0", "1", "2"]
    swapped, straight = ([[0.3, 0.4, 0.3], [0.4, 0.3, 0.3], [0.2, 0.2, 0.6]], [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0, 0, 1.0]])
    people = [confused(swapped, speaker=f"s{k}") for k in range(10)]
    (found,) = suspects(pd.concat(people), classes)
    assert found["classes"] == ["0", "1"]
    assert found["gain"] == pytest.approx(0.1)
    assert found["p"] == pytest.approx(3 * 2**-10)  # all ten signs alike: one way in 2 ** 10; three pairs of classes
    mixed = [confused(straight if k % 2 else swapped, speaker=f"s{k}") for k in range(10)]
    assert suspects(pd.concat(mixed), classes) == []
    assert suspects(pd.concat(people[:4]), classes) == []  # too few to tell


def test_a_swapped_label_map_is_named_in_the_report(maker: Any, capsys: Any) -> None:
    for name in ("a", "b"):
        maker.table(name, speakers=4)
        maker.store(name, identity=SHARED, strength=2.0)
    straight = adapt("a", "b", maker.space, methods=["coral"], **FAST)
    assert straight["suspects"] == []
    table = load_table("b", maker.space)
    frame = table.frame.replace({"emotion": {"neutral": "sadness", "sadness": "neutral"}})
    frame["label"] = frame["emotion"]
    write_table(type(table)(**{**vars(table), "frame": frame}), maker.space)
    swapped = adapt("a", "b", maker.space, methods=["coral"], **FAST)
    assert [s["classes"] for s in swapped["suspects"]] == [["neutral", "sadness"]]
    assert main(["results", "show", swapped["experiment"], "--workspace", str(maker.space.root)]) == 0
    assert "neutral and sadness may be swapped" in capsys.readouterr().out


def test_words_for_a_gain() -> None:
    assert transfer_verdict(0.1, 0.01) == "better than the source alone"
    assert transfer_verdict(-0.1, 0.01).startswith("negative transfer: worse")
    assert transfer_verdict(0.1, 0.2) == "no gain shown"
    assert transfer_verdict(-0.1, None) == "negative transfer on average; too few runs for a test"


def test_no_gap_is_closed_where_the_oracle_is_not_above() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            {"run": r, "fold": "x", "utterance_id": f"u{k}", "speaker": f"s{k % 4}", "true": "01"[k % 2], "split": "test"}
            for r in range(5)
            for k in range(40)
        ]
    )
    good = rows.assign(predicted=rows["true"])
    bad = rows.assign(predicted=rng.permutation(rows["true"].to_numpy()))
    frames = {"none": good, "method": bad, "oracle": bad}
    method, oracle = comparisons(frames, ["0", "1"], "none", "oracle")
    assert method["gap_closed"] is None
    assert oracle["gap_closed"] is None
    assert method["difference"] < 0
    assert "negative transfer" in method["verdict"]


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_few_runs_that_are_exchanged_whole_have_no_p_and_no_verdict(runs: int) -> None:
    rng = np.random.default_rng(1)
    truth = np.array(["0", "1"] * 60)
    rows = [
        pd.DataFrame(
            {
                "run": r,
                "fold": "x",
                "utterance_id": [f"u{k}" for k in range(120)],
                "speaker": [f"s{k % 12}" for k in range(120)],
                "true": truth,
                "split": "test",
            }
        )
        for r in range(runs)
    ]
    frames = {}
    for name, skill in (("none", 0.55), ("method", 0.9)):
        right = [rng.random(120) < skill for _ in rows]
        guesses = [np.where(ok, truth, np.where(truth == "0", "1", "0")) for ok in right]
        frames[name] = pd.concat([f.assign(predicted=g) for f, g in zip(rows, guesses, strict=True)])
    (found,) = comparisons(frames, ["0", "1"], "none", "oracle")
    assert found["difference"] > 0.2
    if runs < 4:
        assert (found["p"], found["p_holm"]) == (None, None)
        assert found["verdict"] == "gain on average; too few runs for a test"
    else:
        assert found["p"] == found["p_holm"] < 0.05
        assert found["verdict"] == "better than the source alone"


def test_the_command_needs_a_source(maker: Any, capsys: Any) -> None:
    maker.table("a")
    maker.store("a")
    assert main(["adapt", "--target", "a", "--workspace", str(maker.space.root)]) == 2
    assert "--source NAME" in capsys.readouterr().err


def test_fit_is_as_it_was(space: Any) -> None:
    """The oracle's line is an ordinary fit on the target but for its classes: both corpora's."""
    alone = fit("b", space, scheme="4", refit="never", **FAST)
    assert alone["data"]["classes"].keys() == {"anger", "neutral", "sadness"}
    study = adapt("a", "b", space, methods=["coral"], **FAST)
    own = predictions(space, study, TARGET_ONLY)
    path = space.results / f"{alone['experiment']}.json"
    same = read_predictions(path)
    np.testing.assert_array_equal(own["predicted"], same["predicted"])
    np.testing.assert_array_equal(own.filter(like="p_"), same.filter(like="p_"))


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stores that were opened: corpus and name."""
    found: list[str] = []
    real = FeatureStore.__init__

    def counting(self: Any, path: Any) -> None:
        found.append(f"{Path(path).parent.name}/{Path(path).stem}")
        real(self, path)

    monkeypatch.setattr(FeatureStore, "__init__", counting)
    return found


@pytest.mark.parametrize("command", [transfer, adapt, finetune])
def test_each_store_is_opened_once(command: Any, maker: Any, openings: list[str]) -> None:
    """Also where the corpora have other classes, and where stores are looked at to choose one of each modality."""
    maker.table("a")
    maker.table("b", emotions=("anger", "happiness", "sadness"))
    for name in ("a", "b"):
        maker.store(name)
        maker.store(name, "words", modality="text")
    openings.clear()
    command("a", "b", maker.space, protocol="official", runs=1, epochs=1, jobs=1)
    assert sorted(openings) == ["a/toy", "a/words", "b/toy", "b/words"]


def test_undefined_scores_of_a_selection_are_left_out_of_its_mean() -> None:
    scores: list[list[float | None]] = [[0.2, 0.6], [0.9, None], [0.1, 0.8]]
    runs: list[Any] = [SimpleNamespace(curves={"selection_SND": s}, best_epoch=2) for s in scores]
    assert selection_score("SND", runs) == pytest.approx(0.7)
    assert selection_score("SND", runs[1:2]) is None
