"""Heads on dialogues, and speakers apart, on new recordings: the same numbers as on the stored corpus."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import Predictor
from ser.cli import main
from ser.errors import ConfigError
from ser.extract.encoders import text
from ser.features.blocks import stored_block
from ser.features.stores.names import TTA_VIEWS
from ser.metadata.table import load_table
from ser.predict.inputs import audio_files, check_inputs, inputs_of_table
from ser.train.checkpoint import load_head
from ser.workspace import Workspace

RATE = 16000
TONES = {"anger": 440.0, "sadness": 160.0}
TEXTS = ["i am so happy", "sad today .", "today !", "i am to un"]
TURNS = 5
HEADS = {
    "sound": ["--audio", "mfcc", "--head", "bilstm", "--context", "dialogue", "--normalize", "train"],
    "own": ["--audio", "mfcc", "--head", "bilstm", "--context", "dialogue", "--normalize", "speaker"],
    "words": ["--text", "tiny-bert", "--head", "text_centred", "--context", "dialogue"],
    "both": ["--audio", "mfcc", "--text", "tiny-bert", "--head", "text_centred", "--context", "dialogue"],
    "plain": ["--audio", "mfcc", "--head", "linear", "--normalize", "speaker"],
}


def _corpus(root: Path) -> None:
    """Ten dialogues of five turns of two speakers each, listed in random order."""
    rng, rows = np.random.default_rng(0), []
    (root / "sound").mkdir(parents=True)
    for dialogue in range(10):
        for turn in range(TURNS):
            emotion = list(TONES)[int(rng.integers(2))]
            time = np.arange(int(RATE * rng.uniform(0.3, 0.5))) / RATE
            tone = np.sin(2 * np.pi * TONES[emotion] * (1 + 0.1 * rng.normal()) * time)
            name = f"sound/d{dialogue}/t{8 + turn}.wav"  # names in alphabetical order are not the turns' order
            (root / name).parent.mkdir(exist_ok=True)
            soundfile.write(root / name, 0.3 * tone + 0.02 * rng.normal(size=len(time)), RATE)
            row = {"path": name, "emotion": emotion, "dialogue": f"d{dialogue}", "turn": 8 + turn}
            who = f"s{dialogue}{'ab'[turn % 2]}"
            split = "train" if dialogue < 6 else "validation" if dialogue < 8 else "test"
            rows.append({**row, "speaker": who, "text": TEXTS[int(rng.integers(4))], "split": split})
    rng.shuffle(rows)
    with (root / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with features and saved heads of `HEADS`."""
    root = tmp_path_factory.mktemp("dialogues")
    _corpus(root)
    bert = text.example(root / "tiny-bert")
    common = ["--workspace", str(root), "--quiet"]
    assert main(["metadata", "--dataset", "mine", "--format", "csv", "--from", str(root / "mine.csv"), *common]) == 0
    encoders = ["--audio", "mfcc", "--text", str(bert), "--level", "utterance", "--jobs", "1"]
    assert main(["extract", "--dataset", "mine", *encoders, *common]) == 0
    for name, options in HEADS.items():
        small = [] if name == "plain" else ["--head-option", "hidden=8", "--batch-size", "4"]
        few = ["--runs", "1", "--epochs", "4", "--jobs", "1", "--scheme", "native", "--protocol", "official"]
        output = ["--output", str(root / "results" / f"{name}.json")]
        assert main(["fit", *options, *small, *few, "--save", *output, *common]) == 0
    return root


def _model(root: Path, name: str) -> Path:
    (found,) = (root / "results" / name).glob("*.safetensors")
    return found


def _tested(root: Path, name: str) -> pd.DataFrame:
    """The recorded test predictions of a head, with the table's columns, in random order."""
    (path,) = (root / "results" / name).glob("*.csv")
    recorded = pd.read_csv(path)
    table = load_table("mine", Workspace(root)).frame[["utterance_id", "path", "text", "dialogue", "turn"]]
    rows = recorded[recorded["split"] == "test"].merge(table, on="utterance_id")
    assert len(rows) == 2 * TURNS
    return rows.sample(frac=1, random_state=3).reset_index(drop=True)


def _given(root: Path, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "files": [root / p for p in rows["path"]],
        "texts": list(rows["text"]),
        "dialogues": list(rows["dialogue"]),
        "turns": [int(t) for t in rows["turn"]],
        "speakers": list(rows["speaker"]),
    }


@pytest.mark.parametrize("name", list(HEADS))
def test_test_dialogues_as_new_files_get_what_the_record_has(trained: Path, name: str) -> None:
    rows = _tested(trained, name)
    asked = _given(trained, rows)
    found = Predictor(_model(trained, name), encoders=_moved(trained, name)).predict(**asked)
    columns = ["p_anger", "p_sadness"]
    np.testing.assert_allclose(found[columns], rows[columns], atol=2e-6)
    assert list(found["predicted"]) == list(rows["predicted"])
    assert list(found["file"]) == [str(f) for f in asked["files"]]
    assert ("dialogue" in found) == (name != "plain")


def _moved(root: Path, name: str) -> dict[str, str]:
    stores = [i.name for i in load_head(_model(root, name)).inputs]
    return {store: str(root / "tiny-bert") for store in stores if "bert" in store}


def test_order_neighbours_and_dialogues_count(trained: Path) -> None:
    rows = _tested(trained, "sound")
    asked = _given(trained, rows)
    said: list[str] = []
    predictor = Predictor(_model(trained, "sound"), say=said.append)
    whole = predictor.predict(**asked)["p_anger"].to_numpy()
    assert said == []
    backwards = predictor.predict(**{**asked, "turns": [-t for t in asked["turns"]]})["p_anger"].to_numpy()
    assert np.abs(whole - backwards).max() > 1e-4
    joined = predictor.predict(asked["files"])
    assert said == ["10 turns, 1 dialogue: in the order given"]
    assert np.abs(whole - joined["p_anger"]).max() > 1e-4
    assert list(joined["turn"]) == list(range(1, 11))
    one = [k for k, d in enumerate(asked["dialogues"]) if d == asked["dialogues"][0]]
    alone = predictor.predict(**{n: [v[k] for k in one] for n, v in asked.items()})
    np.testing.assert_allclose(alone["p_anger"], whole[one], atol=1e-6)


def test_a_turn_that_cannot_be_used_is_left_out_of_its_dialogue(trained: Path) -> None:
    rows = _tested(trained, "sound")
    asked = _given(trained, rows)
    said: list[str] = []
    predictor = Predictor(_model(trained, "sound"), say=said.append)
    bad = 4
    broken = {**asked, "files": [f if k != bad else trained / "not-there.wav" for k, f in enumerate(asked["files"])]}
    found = predictor.predict(**broken)
    name = asked["dialogues"][bad]
    assert said == [f"turns that cannot be used: the others of their dialogues ({name}) are predicted without them"]
    assert "not-there.wav" in found["error"][bad]
    assert found["predicted"][bad] == ""
    rest = [k for k in range(len(rows)) if k != bad]
    without = predictor.predict(**{n: [v[k] for k in rest] for n, v in asked.items()})
    np.testing.assert_allclose(found["p_anger"][rest], without["p_anger"], atol=1e-6)
    said.clear()
    lone = predictor.predict([asked["files"][0]])
    assert lone["predicted"][0] in TONES
    assert said[1] == "dialogues of one turn: 1; the head was trained to see a turn among others"


def test_speakers_are_standardised_apart(trained: Path) -> None:
    rows = _tested(trained, "plain")
    asked = _given(trained, rows)
    said: list[str] = []
    predictor = Predictor(_model(trained, "plain"), say=said.append)
    apart = predictor.predict(asked["files"], speakers=asked["speakers"])["p_anger"]
    assert said == ["each of 4 speakers is standardised by their own recordings"]
    said.clear()
    together = predictor.predict(asked["files"])["p_anger"]
    assert said == ["the head was normalised per speaker: all inputs are standardised together, as one speaker's"]
    assert np.abs(apart - together).max() > 1e-3
    first = asked["speakers"][0]
    own = [k for k, s in enumerate(asked["speakers"]) if s == first]
    np.testing.assert_allclose(predictor.predict([asked["files"][k] for k in own])["p_anger"], apart[own], atol=1e-6)
    new = predictor.predict(asked["files"], speakers=["new", *asked["speakers"][1:]])
    assert new["error"][0].startswith("the only recording of new that can be used")
    assert (new["error"] == "").sum() == len(rows) - 1 - (1 if len(own) == 2 else 0)
    with pytest.raises(ConfigError, match="row 2 has none"):
        predictor.predict(asked["files"][:2], speakers=["a", ""])
    with pytest.raises(ConfigError, match="several recordings of one speaker"):
        predictor.predict(asked["files"][:1])


def test_a_list_on_the_command_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _tested(trained, "own")
    path = trained / "turns.csv"
    columns = {"path": "file", "dialogue": "dialogue", "turn": "turn", "speaker": "speaker"}
    rows.rename(columns=columns)[list(columns.values())].to_csv(path, index=False)
    model = ["--model", str(_model(trained, "own"))]
    assert main(["predict", "--list", str(path), *model, "--format", "jsonl"]) == 0
    told = capsys.readouterr()
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [r["file"] for r in found] == [str(trained / p) for p in rows["path"]]
    assert [(r["dialogue"], r["turn"]) for r in found] == list(zip(rows["dialogue"], rows["turn"], strict=True))
    np.testing.assert_allclose([r["p_anger"] for r in found], rows["p_anger"], atol=2e-6)
    assert "each of 4 speakers" in told.err
    assert main(["predict", str(path), "--list", str(path), *model]) == 2
    assert "beside files" in capsys.readouterr().err
    assert main(["predict", *model]) == 2
    assert "no audio found" in capsys.readouterr().err


def test_each_folder_is_a_dialogue_in_order_of_name(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _tested(trained, "sound").sort_values(["dialogue", "turn"])
    folders = [str(trained / "sound" / d) for d in ("d8", "d9")]
    model = ["--model", str(_model(trained, "sound"))]
    assert main(["predict", *folders, *model, "--format", "csv"]) == 0
    told = capsys.readouterr()
    found = pd.read_csv(pd.io.common.StringIO(told.out))
    assert [Path(f).name for f in found["file"]] == [f"t{k}.wav" for k in range(8, 13)] * 2
    np.testing.assert_allclose(found["p_anger"], rows["p_anger"], atol=2e-6)
    assert list(found["turn"]) == [1, 2, 3, 4, 5] * 2
    assert "10 turns, 2 dialogues: each folder is one, its files in order of name" in told.err
    assert main(["predict", str(trained / "sound"), *model]) == 0
    assert "50 turns, 10 dialogues" in capsys.readouterr().err


def test_texts_alone(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _tested(trained, "words")
    moved = next(f"{k}={v}" for k, v in _moved(trained, "words").items())
    options = ["--model", str(_model(trained, "words")), "--encoders", moved, "--format", "csv"]
    listed = tmp_path / "turns.tsv"
    rows[["text", "dialogue", "turn"]].to_csv(listed, index=False, sep="\t")
    assert main(["predict", "--list", str(listed), *options]) == 0
    found = pd.read_csv(pd.io.common.StringIO(capsys.readouterr().out))
    assert list(found["text"]) == list(rows["text"])
    np.testing.assert_allclose(found["p_anger"], rows["p_anger"], atol=2e-6)
    one = rows[rows["dialogue"] == "d8"].sort_values("turn")
    (tmp_path / "lines.txt").write_text("\n".join([*one["text"], " "]) + "\n")
    assert main(["predict", "--texts", str(tmp_path / "lines.txt"), *options]) == 3
    found = pd.read_csv(pd.io.common.StringIO(capsys.readouterr().out))
    np.testing.assert_allclose(found["p_anger"][:-1], one["p_anger"], atol=2e-6)
    assert "there is no text" in found["error"].iloc[-1]


def test_what_does_not_fit_is_refused(trained: Path, tmp_path: Path) -> None:
    predictor = Predictor(_model(trained, "both"), encoders=_moved(trained, "both"))
    with pytest.raises(ConfigError, match=r"trained on text too.*column text"):
        predictor.predict(["a.wav"])
    with pytest.raises(ConfigError, match="trained on audio"):
        predictor.predict(texts=["a"])
    with pytest.raises(ConfigError, match="dialogue x has turn 3 twice"):
        check_inputs(["a.wav", "b.wav", "c.wav"], dialogues=["x", "y", "x"], turns=[3, 3, 3])
    with pytest.raises(ConfigError, match="row 2 names no dialogue"):
        check_inputs(["a.wav", "b.wav"], dialogues=["x", float("nan")])
    with pytest.raises(ConfigError, match=r"turn of row 2.*whole number.*1\.5"):
        check_inputs(["a.wav", "b.wav"], turns=[1, "1.5"])
    with pytest.raises(ConfigError, match="one for each row: 2; found 1"):
        check_inputs(["a.wav", "b.wav"], ["one"])
    with pytest.raises(ConfigError, match="unknown column of segments: 'begin'; expected one of start, end, channel"):
        check_inputs(["a.wav"], segments={"begin": [0]})
    with pytest.raises(ConfigError, match="nothing to predict"):
        check_inputs([])
    lists = {
        "path,file,dialogue\na.wav,a.wav,1\n": "two columns of one meaning: path and file",
        "file,dialogeu\na.wav,1\n": "unknown column of .*: 'dialogeu'.*Did you mean 'dialogue'",
        "file,turn\na.wav,1\n": "does not say which dialogue",
        "file,dialogue\n": "lists nothing",
    }
    for content, message in lists.items():
        (tmp_path / "list.csv").write_text(content)
        with pytest.raises(ConfigError, match=message):
            inputs_of_table(tmp_path / "list.csv", dialogues=True)
    with pytest.raises(ConfigError, match="there is no file"):
        inputs_of_table(tmp_path / "nothing.csv", dialogues=True)


def test_files_of_a_folder_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("b/u1.wav", "a/u10.wav", "a/u9.wav", "a/U2.WAV", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [f.relative_to(tmp_path).as_posix() for f in audio_files([tmp_path])[0]]
    assert found == ["a/U2.WAV", "a/u9.wav", "a/u10.wav", "b/u1.wav"]


def test_an_evaluation_sees_the_same_dialogues(trained: Path) -> None:
    from ser.evaluation.head_outputs import CorpusFeatures
    from ser.features.tensors import load_tensors

    rows = _tested(trained, "sound")
    head = load_head(_model(trained, "sound"))
    data = load_tensors("mine", Workspace(trained), scheme="native", modalities=["audio"])
    corpus = CorpusFeatures(data)
    where = corpus.positions(list(rows["utterance_id"]))
    found = corpus.outputs(head, np.concatenate([where, where[:3]]), embeddings=True)
    np.testing.assert_allclose(found.probabilities[:10], rows[["p_anger", "p_sadness"]], atol=1e-6)
    np.testing.assert_array_equal(found.probabilities[10:], found.probabilities[:3])
    assert found.embeddings is not None
    assert found.embeddings.shape == (13, 16)
    np.testing.assert_array_equal(found.embeddings[10:], found.embeddings[:3])
    assert len(np.unique(found.embeddings[:10], axis=0)) == 10


def test_heads_on_utterances_do_not_look_at_turns(trained: Path, tmp_path: Path) -> None:
    rows = _tested(trained, "plain").head(4)
    again = {**_given(trained, rows), "turns": [1, 1, 2, 2.5], "dialogues": ["a", "", "a", "a"]}
    said: list[str] = []
    predictor = Predictor(_model(trained, "plain"), say=said.append)
    alike = predictor.predict(**{k: again[k] for k in ("files", "speakers")})
    pd.testing.assert_frame_equal(predictor.predict(**again), alike)
    assert "the head reads one utterance at a time: dialogues and turns are not used" in said


def test_the_last_recording_of_a_speaker_is_named(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    files = [_given(trained, _tested(trained, "plain"))["files"][0], tmp_path / "broken.wav"]
    found = Predictor(_model(trained, "plain")).predict(files)
    assert found["error"][0].startswith("the only recording of the speaker that can be used")


@pytest.mark.parametrize("turn", [7, "7", "7.0", 7.0, 1_700_000_000_000_000_001])
def test_turns_are_whole_numbers_to_the_last_digit(turn: object) -> None:
    found = check_inputs(["a.wav", "b.wav"], turns=[turn, 8])
    assert found.turns == [1_700_000_000_000_000_001 if turn == 1_700_000_000_000_000_001 else 7, 8]


@pytest.mark.parametrize("turn", [7.5, "x", 1e30, float("nan"), None, 2**63])
def test_what_is_no_turn_is_refused(turn: object) -> None:
    with pytest.raises(ConfigError, match="the turn of row 1"):
        check_inputs(["a.wav", "b.wav"], turns=[turn, 8])


@pytest.mark.parametrize("name", ["sound", "both"])
def test_views_are_averaged_dialogue_by_dialogue(trained: Path, name: str) -> None:
    """`ser evaluate --tta`: each view of all turns as a dialogue of its own, words as they are, then the mean."""
    common, views = ["--workspace", str(trained), "--quiet"], ["--level", "utterance", "--views", "tta"]
    assert main(["extract", "--dataset", "mine", "--audio", "mfcc", *views, "--jobs", "1", *common]) == 0
    output = trained / "results" / f"{name}-tta.json"
    assert main(["evaluate", "--model", name, "--tta", "--output", str(output), *common]) == 0
    rows = _tested(trained, name).sort_values(["dialogue", "turn"])
    head, ids = load_head(_model(trained, name)), list(rows["utterance_id"])
    turns = rows["dialogue"].factorize()[0].astype(np.int64), rows["turn"].to_numpy(dtype=np.int64)
    features, found = Workspace(trained).features("mine"), []
    for view in ["", *(f"@{v}" for v in TTA_VIEWS)]:
        stores = [f"{i.name}{view}.h5" if i.modality == "audio" else f"{i.name}.h5" for i in head.inputs]
        blocks = [stored_block(features / s, i.name, ids) for s, i in zip(stores, head.inputs, strict=True)]
        found.append(head.probabilities(blocks, turns=turns, speakers=rows["speaker"].to_numpy(dtype=object)))
    files = json.loads(output.read_text())["files"]
    said = pd.read_csv(output.parent / files["tta"]["path"]).set_index("utterance_id").loc[ids]
    assert np.abs(found[0] - found[1]).max() > 1e-3
    np.testing.assert_allclose(said[[f"p_{c}" for c in head.classes]], np.mean(found, axis=0), atol=1e-6)


def test_the_files_of_a_list_may_be_called_paths(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,start\na.wav,1\n")
    found = inputs_of_table(tmp_path / "list.csv", dialogues=False)
    assert (found.names, found.segments) == ([str(tmp_path / "a.wav")], {"start": [1.0]})


@pytest.mark.parametrize("name", ["wav", "filename", "Audio Path"])
def test_a_list_has_the_names_that_tables_of_utterances_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.csv").write_text(f"{name},Start [ms],duration,Speaker ID,emotion\na.wav,1500,0:02.5,ann,sad\nb.wav,,,,\n")
    found = inputs_of_table(tmp_path / "list.csv", dialogues=False)
    assert found.names == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert found.segments == {"start": [1.5, None], "end": [4.0, None]}
    assert found.speakers == ["ann", ""]
    assert found.left_out == f"columns of {tmp_path / 'list.csv'}: emotion"


def test_a_list_may_be_json_lines(tmp_path: Path) -> None:
    rows = [{"audio": "a.wav", "channel": 0, "text": "so"}, {"audio": "b.wav", "channel": 1, "text": None}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = inputs_of_table(tmp_path / "list.jsonl", dialogues=False)
    assert (found.segments, found.texts) == ({"channel": [0, 1]}, ["so", ""])


def test_a_list_that_is_a_named_pipe_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(ConfigError, match=r"list\.csv; found a named pipe, not a regular file"):
        inputs_of_table(tmp_path / "list.csv", dialogues=True)
