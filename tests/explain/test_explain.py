"""`ser evaluate --explain` on trained heads: pictures and arrays that fit the record."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score

from ser.cli import main
from ser.errors import ConfigError
from ser.evaluation.evaluate import evaluate
from ser.results.records.kinds import read_summary
from ser.results.stored.runs import read_predictions
from ser.train.experiments.fit import fit

FAST: dict[str, Any] = {"epochs": 2, "lr": 1e-2, "jobs": 1, "runs": 2, "save": True, "protocol": "speaker", "refit": "never"}


@pytest.fixture
def space(tmp_path: Path, maker_type: Any) -> Path:
    """Corpus a: frames of audio, words; and pooled audio of three layers."""
    maker = maker_type(tmp_path)
    maker.table("a", speakers=3, emotions=("anger", "sadness"), each=8)
    maker.store("a", "frames", framewise=True, dim=16)
    maker.store("a", "words", modality="text", framewise=True, vocabulary=20)
    return tmp_path


def shown(folder: Path, record: dict[str, Any]) -> list[Path]:
    """All pictures and arrays that a record names; every one is there and holds something."""
    names = [n for e in record["examples"] for n in (e["arrays"], *e["pictures"])]
    assert all((folder / n).stat().st_size > 1000 for n in names if n.endswith(".png"))
    return [folder / n for n in names]


def test_attention_and_modalities_of_an_experiment(space: Path) -> None:
    output = space / "results" / "both.json"
    fit("a", space, head="patch_attention", head_options={"hidden": 16, "heads": 2}, output=output, **FAST)
    record, path = evaluate("both", space, explain=True)
    folder = path.parent / Path(record["explanations"]).parent
    found = json.loads((path.parent / record["explanations"]).read_text())
    summary = read_summary(output)
    assert {(h["run"], h["fold"]) for h in found["heads"]} == {(r["run"], r["fold"]) for r in summary["runs"]}
    assert {h["utterances"] for h in found["heads"]} == {16}
    shapley = found["modalities"]["shapley_of_UA"]
    assert list(shapley) == ["audio", "text"]
    predictions = read_predictions(output)
    tested = predictions[predictions["split"] == "test"]
    by_head = [recall_score(g["true"], g["predicted"], average="macro") for _, g in tested.groupby(["run", "fold"])]
    assert found["modalities"]["UA_with_only"]["audio+text"] == pytest.approx(np.mean(by_head))
    whole = sum(v["mean"] for v in shapley.values()) + found["modalities"]["UA_without_any"]
    assert whole == pytest.approx(np.mean(by_head))
    assert (folder / "modalities.png").is_file()
    test = tested[tested["run"] == 0].set_index("utterance_id")
    assert found["examples"]
    assert shown(folder, found)
    for example in found["examples"]:
        assert test.loc[example["utterance_id"], "true"] == example["true"]
        assert test.loc[example["utterance_id"], "predicted"] == example["predicted"]
        arrays = np.load(folder / example["arrays"])
        assert arrays["probabilities"].max() == pytest.approx(example["probability"])
        assert {m["layer"] for m in example["attention"]} == {
            n.removeprefix("attention ") for n in arrays.files if n.startswith("attention ")
        }
        cross = next(m for m in example["attention"] if m["layer"] == "cross.0.0.attention")
        assert (cross["queries"], cross["keys"]) == (["frames"], ["words"])
    # Of each class, the surest that was recognised and the surest that was missed.
    right = [e for e in found["examples"] if e["true"] == e["predicted"]]
    for example in right:
        same = test[(test["true"] == example["true"]) & (test["predicted"] == example["true"])]
        assert example["probability"] == pytest.approx(same[f"p_{example['true']}"].max(), abs=1e-5)


def test_class_activation_by_the_command(space: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = space / "results" / "cnn.json"
    options = {"head_options": {"channels": "4,4"}, "stores": ["frames"]}
    fit("a", space, head="cnn2d", output=output, **{**FAST, "runs": 1}, **options)
    assert main(["evaluate", "--model", "cnn", "--explain", "--examples", "2", "--workspace", str(space)]) == 0
    out = capsys.readouterr().out
    (folder,) = (space / "results").glob("cnn.evaluation-*.explanations")
    assert f"{folder.name}/explanations.json" in "".join(out.split())
    found = json.loads((folder / "explanations.json").read_text())
    assert found["modalities"] == {}
    assert shown(folder, found)
    for example in found["examples"]:
        assert example["pictures"][0].endswith(".activation.png")
        arrays = np.load(folder / example["arrays"])
        assert arrays[f"activation {example['true']}"].shape == arrays["spectrogram"].shape


def test_what_cannot_be_explained_is_refused(tmp_path: Path, maker_type: Any) -> None:
    maker = maker_type(tmp_path)
    maker.table("a", speakers=3)
    maker.store("a")
    fit("a", tmp_path, output=tmp_path / "results" / "plain.json", **{**FAST, "runs": 1})
    said: list[str] = []
    with pytest.raises(ConfigError, match="nothing in plain to explain"):
        evaluate("plain", tmp_path, explain=True, say=said.append)
    assert said == []  # the first head shows it
    fit("a", tmp_path, output=tmp_path / "results" / "bare.json", **{**FAST, "runs": 1, "save": False, "epochs": 3})
    with pytest.raises(ConfigError, match="needs the saved heads"):
        evaluate("bare", tmp_path, explain=True)
