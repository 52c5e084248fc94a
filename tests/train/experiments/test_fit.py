"""`fit` from features to records: runs are themselves, resuming goes on, stamps and numbers are true."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import recall_score

from ser.audit.split_data import split_data
from ser.errors import ConfigError, StoreError, TrainingError
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.fold_file import save_folds
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import load_table
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.kinds import read_summary
from ser.results.stored.runs import read_predictions
from ser.train.experiments.fit import fit
from ser.train.experiments.search import search
from ser.train.runs import scheduler
from ser.train.runs import worker as units
from ser.train.runs.source_target import choose_pair

FAST: dict[str, Any] = {"epochs": 12, "lr": 1e-2, "jobs": 1, "head_options": {"hidden": 16}}


def files(maker: Any) -> Any:
    return maker.space.results


def predictions_of(maker: Any, summary: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(files(maker) / f"{summary['experiment']}.json")


def test_the_summary_is_what_the_predictions_say(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    summary = fit("toy", maker.space, protocol="speaker", runs=2, **FAST)
    assert plain(read_summary(files(maker) / f"{summary['experiment']}.json")) == json.loads(json.dumps(summary))
    predictions = predictions_of(maker, summary)
    assert len(summary["runs"]) == 2 * 6
    again = plain(metrics_from_predictions(predictions, list(summary["data"]["classes"])))
    for part in ("validation", "test", "pooled", "confusion_matrix", "per_class"):
        assert again[part] == json.loads(json.dumps(summary[part])), part
    test = predictions[(predictions["split"] == "test") & (predictions["run"] == 1)]
    assert len(test) == 96 == test["utterance_id"].nunique()
    own = recall_score(test["true"], test["predicted"], average="macro")
    assert summary["pooled"]["UA"]["values"][1] == pytest.approx(own)
    assert summary["pooled"]["UA"]["mean"] > 0.8
    assert summary["data"]["audit"]["speaker_independent"] is True


def test_run_k_is_the_same_among_any_others(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    few = predictions_of(maker, fit("toy", maker.space, runs=2, output=files(maker) / "a.json", **FAST))
    many = fit("toy", maker.space, runs=4, stack=3, output=files(maker) / "b.json", **FAST)
    columns = [c for c in few.columns if c.startswith("p_")]
    more = predictions_of(maker, many)
    for run in (0, 1):
        a, b = few[few["run"] == run], more[more["run"] == run]
        np.testing.assert_array_equal(a[columns].to_numpy(), b[columns].to_numpy())


def test_finished_runs_are_read_and_not_trained_again(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    first = fit("toy", maker.space, protocol="speaker", runs=2, **FAST)
    (files(maker) / first["experiment"] / "run-001.fold-s3.json").unlink()
    trained: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, units: Any, engine: Any) -> Any:
        trained.extend(units)
        return real(function, units, engine)

    monkeypatch.setattr(scheduler, "run_units", counting)
    second = fit("toy", maker.space, protocol="speaker", runs=2, **FAST)
    assert [(u[1][0].name, u[2]) for u in trained] == [("s3", [1])]
    assert second["pooled"] == first["pooled"]
    trained.clear()
    other = fit("toy", maker.space, protocol="speaker", runs=2, **{**FAST, "lr": 2e-3})
    assert other["config_hash"] != first["config_hash"]
    assert len(trained) == 6


def test_a_record_stays_as_it_was_made_where_nothing_is_added(maker: Any, tmp_path: Any) -> None:
    """Not the time, the machine, the command, nor the name that the file of folds had."""
    maker.table("toy")
    maker.store("toy")
    table = load_table("toy", maker.space)
    folds = make_folds("speaker", table, table.frame, np.zeros(len(table.frame), dtype=np.int64), FoldOptions(3))
    for name in ("a.csv", "b.csv"):
        save_folds(tmp_path / name, table.frame, folds)

    def call(name: str, runs: int, function: Any = fit, **more: Any) -> Any:
        given = {**FAST, **more}
        return function("toy", maker.space, protocol="file", fold_file=tmp_path / name, runs=runs, command=f"c {name}", **given)

    first = call("a.csv", 1)
    record = files(maker) / f"{first['experiment']}.json"
    content = json.loads(record.read_text())
    content["environment"]["platform"] = "another machine"
    record.write_text(json.dumps(content))
    before = record.read_bytes()
    again = call("b.csv", 1)
    assert record.read_bytes() == before
    assert again["command"] == "c a.csv"
    more = call("b.csv", 2)
    assert (more["command"], more["data"]["fold_options"]["file"]) == ("c b.csv", "b.csv")
    assert len(read_summary(record).runs) == 6
    searched = [call(name, 1, search, grid={"clip": [0.5, 1.0]}) for name in ("a.csv", "b.csv")]
    assert searched[0] == searched[1]


def test_what_changes_the_numbers_is_another_experiment(maker: Any, tmp_path: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    scheme, folds = tmp_path / "two.json", tmp_path / "folds.csv"
    scheme.write_text('{"high": ["anger"], "low": ["sadness"]}')
    ids = pd.read_csv(maker.space.table("toy"), dtype=str)["utterance_id"]

    def write(name: Any) -> None:
        folds.write_text("fold,utterance_id\n" + "".join(f"{name(i, k)},{i}\n" for k, i in enumerate(ids)))

    def hash_of() -> str:
        options = FoldOptions(file=folds)
        summary = fit("toy", maker.space, scheme=str(scheme), protocol="emobox", folds=options, runs=1, **{**FAST, "epochs": 1})
        return str(summary["config_hash"])

    write(lambda i, k: i.split("-")[1][1:])
    first = hash_of()
    assert hash_of() == first
    write(lambda i, k: k % 6)
    second = hash_of()
    scheme.write_text('{"high": ["happiness"], "low": ["sadness"]}')
    third = hash_of()
    maker.store("toy", strength=0.5)
    assert len({first, second, third, hash_of()}) == 4


def test_an_output_file_is_not_overwritten_by_another_experiment(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    output = files(maker) / "mine.json"
    fit("toy", maker.space, runs=1, output=output, save=True, **FAST)
    before = output.read_bytes()
    with pytest.raises(ConfigError, match="another experiment"):
        fit("toy", maker.space, runs=1, output=output, normalize="none", **FAST)
    assert output.read_bytes() == before


def test_features_of_other_texts_are_refused(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13, source=b"\1" * 32)
    with pytest.raises(StoreError, match=r"text of toy-s0-anger-0 is not the one.*ser extract"):
        fit("toy", maker.space, head="mean_linear", runs=1, **FAST)


def test_unknown_speakers_and_missing_features_are_stamped(maker: Any) -> None:
    maker.table("toy")
    path = maker.space.table("toy")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[:30, "speaker"] = ""
    frame.loc[40:44, "split"] = ""
    frame.to_csv(path, index=False)
    maker.store("toy", leave_out=1)
    lost = frame["utterance_id"].iloc[-1]
    (maker.space.features("toy") / "toy.failures.csv").write_text(f"utterance_id,path,reason\n{lost},x,silent\n")
    summary = fit("toy", maker.space, protocol="official", runs=1, **FAST)
    assert summary["data"]["audit"]["speaker_independent"] is None
    assert summary["data"]["dropped"]["in no part of protocol official"] == 5
    stamps = " ".join(summary["stamps"])
    assert "speakers unknown" in stamps
    assert "left out: 1 utterances have no features" in stamps


def test_a_word_of_the_scheme_that_no_utterance_has_is_stamped(maker: Any, tmp_path: Any) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    own = tmp_path / "own.yaml"
    own.write_text("bad: [anger, sadness, zzz]\ngood: [happiness, neutral]\n")
    data = load_tensors("toy", maker.space, scheme=str(own))
    stamps = split_data(data, None, FoldOptions(), "train", str(own)).stamps
    assert [s for s in stamps if s.endswith("that are no known emotion: zzz")]


def test_the_test_labels_change_nothing_but_the_test_scores(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    before = predictions_of(maker, fit("toy", maker.space, runs=1, **FAST))
    path = maker.space.table("toy")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    test = (frame["split"] == "test").to_numpy()
    for column in ("emotion", "label"):
        frame.loc[test, column] = np.roll(frame.loc[test, column].to_numpy(), 5)
    frame.to_csv(path, index=False)
    after = predictions_of(maker, fit("toy", maker.space, runs=1, **FAST))
    columns = [c for c in before.columns if c.startswith("p_")]
    np.testing.assert_array_equal(before[columns].to_numpy(), after[columns].to_numpy())
    assert not (before["true"] == after["true"]).all()


def test_modalities_late_fusion_and_stamps(maker: Any) -> None:
    maker.table("toy", sentences=4, synthetic=True)
    maker.store("toy")
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    for head in ("late", "cross_attention", "early"):
        summary = fit("toy", maker.space, head=head, runs=2, normalize="speaker", **FAST)
        assert set(summary["data"]["stores"]) == {"toy", "words"}
        assert summary["pooled"]["UA"]["mean"] > 0.7
        stamps = " ".join(summary["stamps"])
        for word in ("synthetic", "4 sentences", "normalised per speaker"):
            assert word in stamps
    assert "words_validation_UA" in json.loads(next((files(maker)).glob("*late*/run-000*.json")).read_text())["curves"]
    alone = fit("toy", maker.space, modalities=["audio"], runs=1, **FAST)
    assert set(alone["data"]["stores"]) == {"toy"}
    assert "sentences" not in " ".join(alone["stamps"])


def test_the_default_pair_is_iemocap_to_cremad(maker: Any) -> None:
    for name in ("iemocap", "cremad", "emodb"):
        maker.table(name)
        maker.store(name)
    assert choose_pair(maker.space, None, None) == ("iemocap", "cremad")
    assert choose_pair(maker.space, None, "emodb") == (None, "emodb")
    with pytest.raises(ConfigError, match="--target"):
        choose_pair(maker.space, "emodb", None)


def test_every_way_of_training_is_recorded_and_its_heads_can_be_used(maker: Any) -> None:
    from ser.features.tensors import load_tensors
    from ser.train.checkpoint import load_head

    maker.table("toy")
    frame = pd.read_csv(maker.space.table("toy"), dtype=str, keep_default_na=False)
    values = {"anger": 1, "happiness": 5, "neutral": 3, "sadness": 2}
    frame["valence"] = [values[e] for e in frame["emotion"]]
    frame.to_csv(maker.space.table("toy"), index=False)
    maker.store("toy")
    maker.store("toy", "words", modality="text", dim=6)
    sums = {"loss": "cross_entropy,vad:0.2,prototype:0.01", "modality_dropout": 0.2, "feature_noise": 0.1}
    given = {**FAST, "head_options": {"hidden": "16"}, "epochs": 12}
    for own in ({**sums, "average": "swa"}, {"snapshots": 3, "mixup": 0.2}, {"average": "ema", "precision": "bfloat16"}):
        summary = fit("toy", maker.space, runs=2, protocol="official", save=True, **given, **own)
        assert {k: summary["config"][k] for k in own} == own
        assert summary["test"]["UA"]["mean"] > 0.6
        (path,) = (files(maker) / summary["experiment"]).glob("run-001*.safetensors")
        probabilities = load_head(path).probabilities(list(load_tensors("toy", maker.space).blocks))
        table = predictions_of(maker, summary)
        table = table[(table["run"] == 1) & (table["split"] == "test")].set_index("utterance_id")
        ids = list(load_tensors("toy", maker.space).frame["utterance_id"])
        recorded = table[[c for c in table.columns if c.startswith("p_")]]
        np.testing.assert_allclose(probabilities[[ids.index(i) for i in table.index]], recorded, atol=1e-5)


def test_a_collapse_is_named_by_its_class(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    summary = fit("toy", maker.space, runs=1, protocol="official", limit=1e-9, **{**FAST, "lr": 1e-12})  # features of 0
    predictions = predictions_of(maker, summary)
    (only,) = predictions[predictions["split"] == "validation"]["predicted"].unique()
    assert any(f"every validation utterance is predicted {only} from epoch 1 on" in n for n in summary["notes"])


def test_a_stack_that_does_not_fit_into_memory_is_halved(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    whole = predictions_of(maker, fit("toy", maker.space, runs=4, stack=4, output=files(maker) / "a.json", **FAST))
    real, tried = units._stack, []

    def cramped(job: Any, fold: Any, runs: list[int], handover: Any) -> Any:
        tried.append(runs)
        if len(runs) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(job, fold, runs, handover)

    monkeypatch.setattr(units, "_stack", cramped)
    room = 1
    halves = predictions_of(maker, fit("toy", maker.space, runs=4, stack=4, output=files(maker) / "b.json", **FAST))
    assert tried[:4] == [[0, 1, 2, 3], [0, 1], [0], [1]]
    pd.testing.assert_frame_equal(whole, halves)
    room = 0
    with pytest.raises(TrainingError, match="not enough memory for one run of head mlp"):
        fit("toy", maker.space, runs=2, stack=2, output=files(maker) / "c.json", **FAST)


@pytest.mark.usefixtures("forked_workers")
def test_an_experiment_has_the_same_records_with_any_number_of_workers(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs on two workers, then in one process."""
    maker.table("toy")
    maker.store("toy")
    monkeypatch.setattr("ser.train.runs.scheduler.is_short", lambda _: False)
    given: dict[str, Any] = FAST | {"runs": 3, "stack": 1, "patience": 0, "refit": "always"}
    del given["jobs"]
    found = []
    for jobs in (2, 1):
        path = files(maker) / f"jobs-{jobs}.json"
        summary = fit("toy", maker.space, jobs=jobs, output=path, **given)
        curves = [json.loads(p.read_text())["curves"] for p in sorted(path.with_suffix("").glob("*.json"))]
        found.append((summary["pooled"]["UA"]["values"], curves, predictions_of(maker, summary)))
    assert found[0][:2] == found[1][:2]
    pd.testing.assert_frame_equal(found[0][2], found[1][2])


def test_no_runs_and_unknown_words_are_refused_before_anything_is_trained(maker: Any) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    for wrong, said in (({"runs": 0}, "runs = 0"), ({"refit": "allways"}, "Did you mean 'always'")):
        with pytest.raises(ConfigError, match=said):
            fit("target", maker.space, **{**FAST, **wrong})
    assert not list(files(maker).glob("*/*.json"))


def test_runs_of_equal_epochs_are_trained_again_together_and_are_themselves(
    maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ser.train.loop import learner

    maker.table("toy")
    maker.store("toy", strength=0.3)
    stacks: list[tuple[int, int]] = []
    real = learner.train

    def counting(data: Any, config: Any, seeds: Any, *more: Any) -> Any:
        stacks.append((len(data.validation), len(seeds)))
        return real(data, config, seeds, *more)

    monkeypatch.setattr(learner, "train", counting)
    given = {**FAST, "protocol": "official", "refit": "always", "runs": 4}
    together = fit("toy", maker.space, stack=4, output=files(maker) / "a.json", **given)
    sizes = [number for held, number in stacks if not held]
    best = [r["best_epoch"] for r in together["runs"]]
    assert sorted(sizes) == sorted(best.count(e) for e in set(best))
    assert sum(sizes) == 4
    assert max(sizes) > 1
    alone = fit("toy", maker.space, stack=1, output=files(maker) / "b.json", **given)
    pd.testing.assert_frame_equal(predictions_of(maker, together), predictions_of(maker, alone))


def test_a_run_that_diverges_is_named(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    given = {**FAST, "lr": 1e30, "clip": 0.0, "protocol": "official", "runs": 2}
    said = r"^2 trainings diverged: .* epoch 1 \(run 0, fold official; run 1, fold official\)\. No summary"
    for stack in (1, 2):
        with pytest.raises(TrainingError, match=said):
            fit("toy", maker.space, stack=stack, **given)
