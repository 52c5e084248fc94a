"""Final heads: trained on all utterances, for as many epochs as the folds chose; and who takes them."""

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.cli import main
from ser.errors import ConfigError
from ser.evaluation.evaluated_model import find_model
from ser.export.folder import export_folder
from ser.features.normalise import normalise
from ser.features.tensors import load_tensors
from ser.results.records.find import find_heads
from ser.train.checkpoint import load_head
from ser.train.loop.config import make_config
from ser.train.loop.learner import Learner
from ser.train.model_folder import read_model_folder
from ser.train.nn import streams
from ser.train.runs.final import final_line
from tests.conftest import Maker

OPTIONS: dict[str, Any] = {"runs": 2, "epochs": 8, "folds": 3, "protocol": "speaker", "jobs": 1, "scheme": "4"}


@pytest.fixture
def toy(maker: Maker) -> Maker:
    maker.table("toy")
    maker.store("toy", "a")
    return maker


def test_a_final_head_is_a_training_on_all_utterances_of_as_many_epochs_as_the_folds_chose(toy: Maker) -> None:
    found = ser.fit("toy", toy.space, final=True, save=True, **OPTIONS)
    summary = toy.space.results / f"{found['experiment']}.json"
    chosen = round(median(run["best_epoch"] for run in found["runs"]))
    heads = find_heads(found["experiment"], toy.space.results)
    assert [file.name for file in heads] == [f"run-{k:03d}.fold-all.safetensors" for k in range(2)]
    assert len(list(summary.with_suffix("").glob("*.safetensors"))) == 8  # those of the folds are there too
    assert f"final heads: 2, trained on all utterances, {chosen} epochs" in final_line(summary)
    data = load_tensors("toy", toy.space)
    rows = np.arange(len(data.frame))
    standardised, _ = normalise(data, "train", rows, 5.0)
    for k, file in enumerate(heads):
        head = load_head(file)
        assert (head.about.fold, head.about.epochs, head.about.config_hash) == ("all", chosen, found["config_hash"])
        config = head.neural.__class__(**{**vars(head.neural), "epochs": chosen, "selection": "last", "patience": 0})
        learner = Learner(standardised, config)
        ((mine,),) = learner.train(rows, rows[:0], [streams.derive(0, k, "all")])
        assert torch.equal(head.weights[0], mine.weights)
    assert found["pooled"] == ser.fit("toy", toy.space, **OPTIONS)["pooled"]  # the scores are those of the folds


def test_heads_that_are_there_are_kept_and_more_runs_are_added(toy: Maker) -> None:
    found = ser.fit("toy", toy.space, head="late", final=True, **OPTIONS)
    first, second = find_heads(found["experiment"], toy.space.results)
    before = first.stat().st_mtime_ns
    second.unlink()
    ser.fit("toy", toy.space, head="late", final=True, **OPTIONS)
    assert find_heads(found["experiment"], toy.space.results) == [first, second]
    assert first.stat().st_mtime_ns == before
    ser.fit("toy", toy.space, head="late", final=True, **{**OPTIONS, "runs": 1})
    assert find_heads(found["experiment"], toy.space.results) == [first]  # of the runs that the record has
    classical = ser.fit("toy", toy.space, head="sklearn:LogisticRegression", final=True, **{**OPTIONS, "epochs": None})
    (head, _) = find_heads(classical["experiment"], toy.space.results)
    assert load_head(head).about.epochs == 0


def test_a_fold_may_not_have_the_name_of_final_heads(toy: Maker) -> None:
    ids = list(load_tensors("toy", toy.space).frame["utterance_id"])
    lines = [{"utterance_id": i, "fold": "all", "part": ("train", "validation", "test")[k % 3]} for k, i in enumerate(ids)]
    file = toy.space.root / "folds.csv"
    pd.DataFrame(lines).to_csv(file, index=False)
    options = {**OPTIONS, "protocol": "file", "fold_file": file, "folds": None}
    for more in ({"save": True}, {"final": True}):
        with pytest.raises(ConfigError, match="a fold is called all, which is the name of heads"):
            ser.fit("toy", toy.space, **options, **more)


def test_others_take_the_final_heads_and_say_so(toy: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = ["--workspace", str(toy.space.root)]
    fit = ["fit", "--dataset", "toy", "--runs", "2", "--epochs", "3", "--folds", "3", "--protocol", "speaker", "--jobs", "1"]
    assert main([*fit, "--final", *space]) == 0
    assert "final heads: 2, trained on all utterances" in capsys.readouterr().out
    name = next(toy.space.results.glob("fit-toy*.json")).stem
    config = read_model_folder(export_folder(name, toy.space, tmp_path / "model", calibrate=True).path).config
    assert (config.trained_rows, [head.fold for head in config.heads]) == ("all", ["all", "all"])
    assert all(head.temperature is not None for head in config.heads)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "trained on all rows" in " ".join(card.split())
    with pytest.raises(ConfigError, match="is a final head, which was trained on all utterances"):
        find_model(str(find_heads(name, toy.space.results)[0]), toy.space)
    assert main([*fit, "--final", "--grid", "lr=1e-3,1e-4", *space]) == 2
    assert "--final is of one setting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "options", "known"),
    [
        ("mlp", {}, True),
        ("late", {}, False),  # of several parts
        ("mlp", {"average": "ema"}, True),
        ("mlp", {"snapshots": 2}, False),
        ("mlp", {"selection": "last"}, True),
    ],
)
def test_validation_is_not_predicted_again(
    toy: Maker, head: str, options: dict[str, Any], known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.store("toy", "words", modality="text")
    data = load_tensors("toy", toy.space)
    rows = np.arange(len(data.frame))
    learner = Learner(data, make_config(head, epochs=4, patience=0, **options))
    train, validation, others = rows[::2], rows[1::4], rows[3::4]
    parts = learner.train(train, validation, [1, 2])
    expected = [learner.predict(learner.weights(parts), part) for part in (validation, others, validation[:1])]
    calls, own = [], Learner.predict
    monkeypatch.setattr(Learner, "predict", lambda *given: calls.append(1) or own(*given))
    for number, part in enumerate((validation, others, validation[:1])):
        assert np.array_equal(learner.validated(parts, part), expected[number])
        assert len(calls) == number + (not known)
