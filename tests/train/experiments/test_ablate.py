"""Ablation: the same utterances, folds and seeds for every variant; ordinary records; a paired test."""

import json
from typing import Any

import pytest

from ser.cli import main
from ser.errors import ConfigError, TrainingError
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.results.records.kinds import read_record, read_summary
from ser.results.stored.runs import read_predictions
from ser.train.experiments.ablate import FULL, ablate, parts
from ser.train.experiments.fit import fit
from ser.train.runs import scheduler

FAST: dict[str, Any] = {"epochs": 12, "runs": 2, "protocol": "speaker", "folds": 3, "jobs": 1, "lr": 1e-2}


@pytest.fixture
def space(maker: Any) -> Any:
    """Audio that says little and text that says more; one utterance has no text features."""
    maker.table("toy")
    maker.store("toy", strength=0.15)
    maker.store("toy", "words", modality="text", strength=2.0, leave_out=1)
    lost = load_tensors("toy", maker.space, modalities=["audio"]).frame["utterance_id"].iloc[-1]
    failures = maker.space.features("toy") / "words.failures.csv"
    failures.write_text(f"utterance_id,path,reason\n{lost},x,empty\n")
    return maker.space


def test_variants_of_two_modalities(space: Any) -> None:
    data = load_tensors("toy", space)
    assert parts(data, "cross_attention", "early") == [
        ("audio only", "cross_attention", ["toy"]),
        ("text only", "cross_attention", ["words"]),
        ("simple fusion", "early", ["toy", "words"]),
        (FULL, "cross_attention", ["toy", "words"]),
    ]
    assert [name for name, _, _ in parts(data, "early", "early")] == ["audio only", "text only", FULL]
    assert {head for _, head, _ in parts(data, "sklearn:SVC", "early")[:2]} == {"sklearn:SVC"}


def test_modality_dropout_is_left_out_where_each_part_sees_one_modality(space: Any) -> None:
    given: dict[str, Any] = {"protocol": "official", "runs": 1, "jobs": 1, "epochs": 1}
    found = ablate("toy", space, head="early", simple="late", modality_dropout=0.2, **given)
    configs = [read_summary(space.results / v["record"]).config for v in found["variants"]]
    assert [config["modality_dropout"] for config in configs] == [0.0, 0.0, 0.0, 0.2]
    with pytest.raises(TrainingError, match="modality dropout with one modality"):
        ablate("toy", space, head="late", simple="early", modality_dropout=0.2, **given)


def test_a_head_that_needs_both_is_replaced_where_there_is_one(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "frames", framewise=True)
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    found = parts(load_tensors("toy", maker.space), "patch_attention", "early")
    assert [head for _, head, _ in found] == ["mean_linear", "mean_linear", "early", "patch_attention"]


def test_the_same_utterances_and_ordinary_records(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, units: Any, engine: Any) -> Any:
        trained.extend(units)
        return real(function, units, engine)

    monkeypatch.setattr(scheduler, "run_units", counting)
    options = {"head": "early", "simple": "linear", "head_options": {"hidden": 16}, **FAST}
    found = ablate("toy", space, **options)
    path = space.results / f"{found['experiment']}.json"
    assert plain(read_record(path)) == json.loads(json.dumps(found))
    assert [v["name"] for v in found["variants"]] == ["audio only", "text only", "simple fusion", FULL]
    ids = set()
    for row in found["variants"]:
        summary = plain(read_summary(path.parent / row["record"]))
        assert summary["pooled"] == row["pooled"]
        assert set(summary["data"]["stores"]) == set(row["stores"])
        frame = read_predictions(path.parent / row["record"])
        ids.add(frozenset(zip(frame["fold"], frame["split"], frame["utterance_id"], strict=True)))
        assert frame["utterance_id"].nunique() == 95
    assert len(ids) == 1
    by_name = {c["variant"]: c for c in found["comparisons"]}
    assert list(by_name) == ["audio only", "text only", "simple fusion"]
    pooled = {v["name"]: v["pooled"]["UA"]["mean"] for v in found["variants"]}
    for name, c in by_name.items():
        assert c["difference"] == pytest.approx(pooled[FULL] - pooled[name])
        assert c["p"] <= c["p_holm"] <= 1
    audio = by_name["audio only"]
    assert audio["difference"] > 0.2
    assert audio["tests"]["speakers"]["units"] == 6
    assert audio["tests"]["models"]["units"] == 6
    before = len(trained)
    again = ablate("toy", space, **options)
    assert len(trained) == before
    assert again["comparisons"] == found["comparisons"]
    fit("toy", space, head="early", head_options={"hidden": 16}, **FAST)  # the full model is this very experiment
    assert len(trained) == before


def test_imported_features_are_stamped_once(maker: Any) -> None:
    maker.table("toy")
    for name, modality in (("sound", "audio"), ("words", "text"), ("face", "visual")):
        maker.store("toy", name, modality=modality, identity={"encoder": name, "model": "imported"})
    found = ablate("toy", maker.space, head="early", **{**FAST, "runs": 1, "epochs": 1})
    stamped = [stamp for stamp in found["stamps"] if stamp.startswith("imported features")]
    assert len(stamped) == 1
    assert stamped[0].startswith("imported features: sound, words, face; ")
    assert len(set(found["stamps"])) == len(found["stamps"])


def test_one_modality_is_refused_with_what_to_extract(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    with pytest.raises(ConfigError, match=r"features of audio alone are used.* name another .* --dataset toy --text bert"):
        ablate("toy", maker.space, **FAST)


def test_the_command_and_what_is_shown(space: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # of a terminal: no cell is wrapped
    words = ["ablate", "--workspace", str(space.root), "--runs", "2", "--epochs", "4", "--jobs", "1", "--head", "linear"]
    assert main([*words, "--simple", "sklearn:LogisticRegression", "--protocol", "official"]) == 2
    assert "--epochs means nothing to head sklearn" in capsys.readouterr().err
    assert main([*words, "--simple", "early", "--protocol", "official"]) == 0
    said = capsys.readouterr().out
    assert main(["results", "show", "ablate-toy", "--workspace", str(space.root)]) == 0
    assert said.startswith(capsys.readouterr().out.rstrip())
    for word in ("audio only", "text only", "simple fusion", FULL, "full model minus", "p over models", "p, Holm"):
        assert word in said
    assert main(["results", "plot", "ablate-toy", "--workspace", str(space.root)]) == 0
    assert list((space.root / "results").glob("ablate-toy*.ablation.png"))
