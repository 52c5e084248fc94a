"""A model that is handed on: the folder answers as the experiment, says all to others, and is refused where it was changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import ser
from ser import registry
from ser.cli import main
from ser.errors import ConfigError
from ser.export.card import USES, _without_paths
from ser.export.citations import AUTHORS, TITLE, entry
from ser.export.folder import export_folder
from ser.export.origins import encoder_origin, limits, origins_of
from ser.metadata.table import load_table, make_table, write_table
from ser.results.metrics.calibration import scaled
from ser.results.metrics.evaluation import fit_temperatures
from ser.results.records.kinds import read_summary
from ser.results.result import Result
from ser.train.experiments.fit import fit
from ser.train.experiments.transfer import transfer
from ser.train.model_folder import ModelConfig, read_model_folder
from ser.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exported(trained: Path, tmp_path: Path) -> Path:
    return export_folder("mfcc", Workspace(trained), tmp_path / "model").path


def _config(folder: Path) -> ModelConfig:
    return read_model_folder(folder).config


def test_a_folder_answers_as_its_experiment_without_the_workspace(
    trained: Path,
    exported: Path,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    heads = sorted((trained / "results" / "mfcc").glob("*.safetensors"))
    expected = ser.Predictor(heads).predict(clip)
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(clip), "--model", "model", "--format", "jsonl"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["p_anger"] == pytest.approx(expected["p_anger"][0], abs=1e-12)
    assert "mean of 3 heads in model" in err


def test_a_calibrated_folder_applies_the_temperature_of_each_head(trained: Path, clip: Path, tmp_path: Path) -> None:
    done = export_folder("mfcc", Workspace(trained), tmp_path / "model", calibrate=True)
    found = ser.Predictor(done.path).predict(clip)
    shares = []
    for head in _config(done.path).heads:
        one = ser.Predictor(done.path / head.file).predict(clip)[["p_anger", "p_sadness"]].to_numpy()
        assert head.temperature is not None
        shares.append(scaled(one, head.temperature))
    np.testing.assert_allclose(found[["p_anger", "p_sadness"]].to_numpy(), np.mean(shares, axis=0), atol=1e-12)
    assert "calibrated" in done.notes[0]


def test_of_a_class_and_dimensions_the_temperature_is_that_of_the_classes(trained: Path, clip: Path, tmp_path: Path) -> None:
    space = Workspace(shutil.copytree(trained, tmp_path / "space"))
    table = load_table("mine", space)
    rows: list[Any] = table.frame.to_dict("records")
    for k, row in enumerate(rows):
        row["arousal"] = k % 7
    facts: Any = {**table.facts, "dimensions": {**table.dimensions, "arousal": {"low": 0, "high": 6}}}
    write_table(make_table(rows, "rated", facts), space)
    asked = ["--audio", "mfcc", "--level", "utterance", "--jobs", "1", "--workspace", str(space.root), "--quiet"]
    assert main(["extract", "--dataset", "rated", *asked]) == 0
    options: dict[str, Any] = {"protocol": "speaker", "folds": 3, "runs": 1, "epochs": 3, "jobs": 1, "save": True}
    found = fit("rated", space, target="emotion,arousal", **options)
    done = export_folder(found["experiment"], space, tmp_path / "model", calibrate=True)
    answer = ser.Predictor(done.path).predict(clip)
    each = [(ser.Predictor(done.path / h.file).predict(clip), h.temperature) for h in _config(done.path).heads]
    classes = ["p_anger", "p_sadness"]
    shares = [scaled(one[classes].to_numpy(), t) for one, t in each if t is not None]
    np.testing.assert_allclose(answer[classes].to_numpy(), np.mean(shares, axis=0), atol=1e-12)
    assert answer["arousal"][0] == pytest.approx(np.mean([one["arousal"][0] for one, _ in each]), abs=1e-12)
    fit("rated", space, target="arousal", output=space.results / "alone.json", **options)
    with pytest.raises(ConfigError, match="--calibrate is of heads on classes, and this model learned dimensions"):
        export_folder("alone", space, tmp_path / "other", calibrate=True)


def test_one_heads_note_quotes_its_own_temperature(trained: Path, tmp_path: Path) -> None:
    file = sorted((trained / "results" / "mfcc").glob("*.safetensors"))[1]
    done = export_folder(str(file), Workspace(trained), tmp_path / "model", calibrate=True)
    (head,) = _config(done.path).heads
    assert f"one temperature ({head.temperature:.2f})," in done.notes[0]


def test_heads_of_a_transfer_are_calibrated_on_the_validation_rows_of_their_source(maker: Any, tmp_path: Path) -> None:
    for name, speakers in (("a", 6), ("b", 4)):
        maker.table(name, speakers=speakers)
        maker.store(name, identity={"encoder": "toy"}, strength=0.6)
    small: dict[str, Any] = {"epochs": 2, "lr": 1e-2, "jobs": 1, "head_options": {"hidden": 8}, "runs": 2}
    record = maker.space.root / "results" / "moved.json"
    result = transfer("a", "b", maker.space, save=True, protocol="speaker", output=record, **small)
    done = export_folder(str(record), maker.space, tmp_path / "model", calibrate=True)
    config = _config(done.path)
    assert config.trained_rows == "source"
    rows = result.predictions[result.predictions["split"] == "validation"]
    assert rows["utterance_id"].str.startswith("a").all()
    for head in config.heads:
        own = rows[(rows["run"] == head.run) & (rows["fold"] == rows["fold"].iloc[0])]
        (expected,) = fit_temperatures(own, result.classes).values()
        assert head.temperature == pytest.approx(expected)
    values = [head.temperature or 0 for head in config.heads]
    assert f"({min(values):.2f} to {max(values):.2f}), fitted on the validation predictions of its run on" in done.notes[0]
    card = (done.path / "README.md").read_text()
    assert "trained on the training part of a, reading" in card
    assert "of its fold" not in card


def test_a_head_without_validation_predictions_is_not_called_calibrated(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Result.find("mfcc", trained / "results")
    some = result.predictions
    monkeypatch.setattr(type(result), "predictions", some[some["fold"] != some["fold"].iloc[0]])
    with pytest.raises(ConfigError, match="nothing to fit the temperature of run 0, fold"):
        export_folder("mfcc", Workspace(trained), tmp_path / "model", calibrate=True)
    assert not (tmp_path / "model").exists()


def test_another_reader_computes_the_head_from_config_and_tensors_alone(exported: Path, clip: Path) -> None:
    """The MLP by hand, in NumPy, from the places that `config.json` states."""
    config = json.loads((exported / "config.json").read_text())
    predictor = ser.Predictor(exported / config["heads"][0]["file"])
    tensors = load_file(exported / config["heads"][0]["file"])
    (source,) = config["inputs"]
    features = predictor._features(_inputs(clip), np.array([""], dtype=object), np.array([0.0]), None)[0][0]
    x = (features - tensors[f"mean:{source['name']}"]) / tensors[f"std:{source['name']}"]
    x = np.clip(x, -config["normalisation"]["limit"], config["normalisation"]["limit"])
    weights = {
        place["name"]: tensors["weights.0"][place["offset"] :][: int(np.prod(place["shape"]))].reshape(place["shape"])[0]
        for place in config["weights"]
    }
    hidden = np.maximum(x @ weights["classifier.hidden.0.weight"] + weights["classifier.hidden.0.bias"][0], 0)
    logits = hidden @ weights["classifier.output.weight"] + weights["classifier.output.bias"][0]
    shares = np.exp(logits) / np.exp(logits).sum()
    found = predictor.predict(clip)
    np.testing.assert_allclose(found[[f"p_{c}" for c in config["outputs"]["names"]]].to_numpy()[0], shares, atol=1e-6)


def _inputs(clip: Path):  # type: ignore[no-untyped-def]
    from ser.predict.inputs import check_inputs

    return check_inputs([clip])


def test_the_card_quotes_the_record_with_stamps_and_licences(trained: Path, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "audio-classification"
    summary = read_summary(trained / "results" / "mfcc.json")
    assert f"| UA | {summary.pooled.main.mean:.3f} |" in body
    assert all(stamp in body for stamp in summary.stamps)
    assert "The mean of all heads was not tested" in body
    assert "CREMA-D" in body
    assert "synthesised" in body
    assert str(trained) not in card
    assert (exported / "config.json").read_text().count(str(trained)) == 0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ser fit --head ./x.py --runs 5", "ser fit --runs 5"),
        ("ser fit --head=./x.py --runs 5 --save", "ser fit --runs 5 --save"),
        ("ser --workspace w fit --save --output /a/b.json --head mlp", "ser fit --save --head mlp"),
        ("ser fit --save --workspace=w --folds 3", "ser fit --save --folds 3"),
        ("ser fit --audio a --head-option lr=1e-3", "ser fit --audio a --head-option lr=1e-3"),
    ],
)
def test_a_command_on_a_card_has_no_path_and_no_option_without_its_value(given: str, shown: str) -> None:
    assert _without_paths(given) == shown


def test_a_card_speaks_plain_english(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    assert "This card grants no licence; whoever passes the model on must state one." in card
    assert "says all that a program other than ser needs" in card
    assert "It was trained on speech in: en (ISO 639-1)." in card
    with pytest.raises(ConfigError, match="is already an exported folder"):
        export_folder(str(exported), Workspace(exported), exported.parent / "again")


def test_a_changed_or_lacking_head_is_refused(exported: Path) -> None:
    file = exported / _config(exported).heads[1].file
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"is not the file that config\.json is of.*Copy the folder again"):
        ser.Predictor(exported)
    file.unlink()
    with pytest.raises(ConfigError, match=f"lacks {file.name}"):
        ser.Predictor(exported)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("outputs", "names"), ["sadness", "anger"], "names of the outputs"),
        (("outputs", "activation"), "sigmoid", "activation of the outputs"),
        (("inputs", 0, "name"), "others", "inputs"),
        (("normalisation", "limit"), 1.0, "normalisation"),
        (("architecture", "snapshots"), 2, "snapshots"),
        (("architecture", "options", "hidden"), "9", "options of the head"),
    ],
)
def test_a_configuration_that_was_edited_is_refused(exported: Path, place: tuple[Any, ...], value: Any, words: str) -> None:
    """The names belong to the weights, which the heads' own files say."""
    path = exported / "config.json"
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=rf"config\.json says something else of the {words} than run-000"):
        read_model_folder(exported)


@pytest.mark.parametrize("name", ["../run-000.fold-00.safetensors", "/etc/passwd", "a/b.safetensors", "x.pkl"])
def test_a_folder_names_files_of_its_own_alone(exported: Path, name: str) -> None:
    path = exported / "config.json"
    content = json.loads(path.read_text())
    content["heads"][0]["file"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="file"):
        ser.Predictor(exported)


def test_a_folder_is_written_over_on_request_alone(trained: Path, exported: Path, tmp_path: Path) -> None:
    space = Workspace(trained)
    with pytest.raises(ConfigError, match="--overwrite"):
        export_folder("sklearn", space, exported)
    assert _config(export_folder("sklearn", space, exported, overwrite=True).path).weights == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="is in the way"):
        export_folder("mfcc", space, tmp_path / "other", overwrite=True)


def test_what_a_user_keeps_in_a_folder_is_never_written_over(trained: Path, exported: Path) -> None:
    (exported / "notes.txt").write_text("mine")
    (exported / ".git").mkdir()
    with pytest.raises(ConfigError, match=r"holds more than a model.*found \.git, notes\.txt"):
        export_folder("sklearn", Workspace(trained), exported, overwrite=True)
    assert (exported / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("output", [".", "", "..", "/"])
def test_the_folder_that_one_is_in_is_no_output(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Name one: --output NAME"):
        export_folder("mfcc", Workspace(trained), Path(output))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_leaves_the_old_one(
    trained: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (exported / "README.md").read_bytes()
    monkeypatch.setattr("ser.export.folder.model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_folder("sklearn", Workspace(trained), exported, overwrite=True)
    assert (exported / "README.md").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def _mixed(trained: Path, tmp_path: Path) -> Path:
    """A copy of the results, in which a head of `mfcc` is one of `frames`, which reads another store."""
    shutil.copytree(trained / "results", tmp_path / "results")
    files = sorted((tmp_path / "results" / "mfcc").glob("*.safetensors"))
    shutil.copy(tmp_path / "results" / "frames" / files[1].name, files[1])
    return tmp_path


@pytest.mark.parametrize("kind", ["folder", "onnx"])
def test_heads_that_differ_are_no_model(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    root = _mixed(trained, tmp_path)
    made = root / ("made.onnx" if kind == "onnx" else "made")
    assert main(["export", kind, "mfcc", "--output", str(made), "--workspace", str(root)]) == 2
    assert "reads something else than the first one" in capsys.readouterr().err
    assert not made.exists()


def test_a_head_of_an_earlier_training_is_refused(trained: Path, tmp_path: Path) -> None:
    root = _mixed(trained, tmp_path)
    with pytest.raises(ConfigError, match=r"is not the record of .*can be removed"):
        export_folder(str(sorted((root / "results" / "mfcc").glob("*.safetensors"))[1]), Workspace(root), root / "m")


def test_a_head_alone_makes_a_folder_whose_card_claims_nothing(trained: Path, clip: Path, tmp_path: Path) -> None:
    file = sorted((trained / "results" / "sklearn").glob("*.safetensors"))[0]
    (tmp_path / "elsewhere").mkdir()
    alone = shutil.copy(file, tmp_path / "elsewhere")
    done = export_folder(str(alone), Workspace(tmp_path), tmp_path / "model")
    assert "nothing is claimed" in (done.path / "README.md").read_text()
    assert ser.Predictor(done.path).predict(clip)["predicted"][0] == ser.Predictor(file).predict(clip)["predicted"][0]
    with pytest.raises(ConfigError, match="--calibrate needs the record"):
        export_folder(str(alone), Workspace(tmp_path), tmp_path / "other", calibrate=True)


def test_the_command_writes_into_the_folder_that_is_named_as_the_model(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "folder", "mfcc", "--workspace", str(trained)]) == 0
    assert (tmp_path / "mfcc" / "config.json").is_file()
    assert "written: mfcc (3 heads" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("CC BY-NC-ND 4.0", ["not for commercial use", "a trained model may count"]),
        ("for research, on request from SAIL (release form)", ["not for commercial use", "given under an agreement"]),
        ("openSMILE: research and private use only", ["not for commercial use"]),
        ("Open Database License (ODbL) 1.0", ["the same licence"]),
        ("CC BY 4.0", []),
        ("Apache-2.0", []),
        ("CC0 1.0", []),
    ],
)
def test_limits_of_licences(licence: str, words: list[str]) -> None:
    found = [limit.says for limit in limits(licence)]
    assert len(found) == len(words)
    assert all(any(word in said for said in found) for word in words)


@pytest.mark.parametrize("kind", ["corpus", "encoder", "head", "loss", "adaptation method"])
def test_every_stated_citation_becomes_a_whole_entry(kind: str) -> None:
    for name, plugin in registry.load_all(kind).items():
        stated = [*getattr(plugin, "CITATIONS", {}).values(), getattr(plugin, "CITATION", "")]
        assert kind != "encoder" or any(stated), f"encoder {name} states no paper: CITATION"
        for citation in stated:
            if citation and not citation.startswith("none"):
                made = entry("key", citation)
                assert "  year = {" in made, (name, made)
                assert made.count("{") == made.count("}")
                assert "author = {" in made


def test_a_card_has_words_for_the_outputs_of_every_target() -> None:
    assert {plugin.OUTPUT for plugin in registry.load_all("target").values()} <= set(USES)


def test_every_checkpoint_has_a_paper() -> None:
    for plugin in registry.load_all("encoder").values():
        family = plugin.__name__.rpartition(".")[2]
        for short in plugin.CHECKPOINTS:
            assert encoder_origin(short, {"plugin": family}).citation, short


def test_an_exported_folder_is_cited_without_its_workspace(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cite", str(exported), "--workspace", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(f"% {what}" in told for what in ("corpus ", "encoder mfcc", "head "))


def test_cite_names_corpus_encoder_and_head(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cite", "mfcc", "--workspace", str(trained)]) == 0
    out = capsys.readouterr().out
    assert "@software{ser," in out
    assert "McFee, B." in out
    assert "% head mlp: no paper is stated" in out
    assert "synthetic speech" in out
    facts = {"corpus": "emodb", "stores": {"w": {"encoder": "hubert-large", "identity": {"plugin": "speech"}}}}
    assert [o.citation.split(":")[1].strip() for o in origins_of({"data": facts})] == [
        "A Database of German Emotional Speech. Interspeech 2005, 1517-1520. doi",
        "HuBERT",
    ]


def test_the_citation_file_agrees_with_the_package() -> None:
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert stated["version"] == ser.__version__
    assert stated["title"] == TITLE
    assert stated["authors"] == [{"name": AUTHORS}]
