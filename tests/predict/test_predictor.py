"""A saved head on new recordings: files, samples, bytes; the same numbers as on the stored corpus; bad ones are rows."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import ser
from ser.cli import main
from ser.errors import AudioError, ConfigError
from ser.extract.encoders import egemaps
from ser.extract.options import EncoderOptions
from ser.features.stores.store import FeatureStore
from ser.predict.inputs import Inputs, audio_files
from ser.predict.pictures import draw, places, spectrogram
from ser.predict.predictions import Heard, as_text, form_notes, is_beyond_chance, long_note, novelty_note, telephone_note
from ser.predict.recordings import Recording
from ser.results.records.find import find_heads
from ser.results.records.kinds import read_summary
from ser.train.checkpoint import durations_of, head_facts, load_head
from ser.train.head_file import AudioForm
from tests.conftest import table_of_speech


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a corpus, features and a saved head, made on the command line."""
    root = tmp_path_factory.mktemp("trained")
    common = table_of_speech(root)
    assert main(["extract", "--dataset", "mine", "--audio", "mfcc", "--level", "utterance", "--jobs", "1", *common]) == 0
    options = ["--protocol", "speaker", "--folds", "3", "--runs", "1", "--jobs", "1", "--save"]
    assert main(["fit", *options, "--output", str(root / "results" / "mine.json"), *common]) == 0
    return root


def test_a_saved_head_gives_new_audio_what_it_gave_the_stored_features(trained: Path) -> None:
    summary = read_summary(trained / "results" / "mine.json")
    entry = summary["runs"][0]
    model = (trained / "results" / entry["record"]).with_suffix(".safetensors")
    predictor = ser.Predictor(model)
    assert predictor.classes == ["anger", "sadness"]
    assert repr(predictor) == "Predictor of anger, sadness by a head mlp on mfcc.utterance"
    recorded = pd.read_csv(trained / "results" / entry["predictions"])
    recorded = recorded[recorded["split"] == "test"].head(5)
    files = [trained / "corpus" / "AudioWAV" / f"{i}.wav" for i in recorded["utterance_id"]]
    table = predictor.predict(files)
    np.testing.assert_allclose(table["p_anger"], recorded["p_anger"], atol=1e-6)
    assert list(table["predicted"]) == list(recorded["predicted"])


def test_predict_lists_files_that_cannot_be_used(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = next((trained / "results" / "mine").glob("*.safetensors"))
    bad = trained / "bad.wav"
    bad.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    good = next((trained / "corpus" / "AudioWAV").glob("*.wav"))
    assert main(["predict", str(good), str(bad), "--model", str(model), "--format", "jsonl"]) == 3
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["predicted"] in ("anger", "sadness")
    assert first["p_anger"] + first["p_sadness"] == pytest.approx(1)
    assert "LFS" in second["error"]
    assert "predicted" not in second
    assert main(["predict", str(good), "--model", str(model)]) == 0
    assert "probability" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--list", "bad.csv"], "unknown column of bad.csv: 'fiel'"),
        (["--texts", "nothing.txt", "a.wav"], "there is no file nothing.txt"),
        (["empty"], "no audio found"),
        (["empty", "--window", "2"], "no audio found"),
        (["--list", "bad.csv", "--window", "2"], "bad.csv beside --window"),
    ],
)
def test_bad_inputs_are_refused_before_a_head_is_loaded(
    words: list[str],
    problem: str,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ser.predict.judge.load_head", None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("fiel,start\na.wav,0\n")
    assert main(["predict", *words, "--model", "mine", "--workspace", str(trained)]) == 2
    assert problem in capsys.readouterr().err


def test_a_file_that_is_no_head_is_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match="is not a saved head of ser"):
        load_head(trained / "metadata" / "mine.csv")
    with pytest.raises(ConfigError, match=r"ser fit \.\.\. --save"):
        load_head(trained / "nothing.safetensors")


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"PK\x03\x04", "a zip archive"),
        (b"\x80\x04", "a pickle"),
        (b"\x08\x07\x12", "something else"),
        (b"RIFF", "a recording"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, beginning: bytes, words: str) -> None:
    (tmp_path / "x.zip").write_bytes(beginning + bytes(500))
    with pytest.raises(ConfigError, match=f"expected an experiment's name, or a file ending in .safetensors .* found {words}"):
        load_head(tmp_path / "x.zip")


@pytest.fixture
def model(trained: Path) -> Path:
    return sorted((trained / "results" / "mine").glob("*.safetensors"))[0]


@pytest.fixture
def good(trained: Path) -> Path:
    return sorted((trained / "corpus" / "AudioWAV").glob("*.wav"))[0]


def test_an_encoder_that_the_head_does_not_use_is_refused(model: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"--encoders mfcc=DIR is of no store .* expected STORE=NAME .*mfcc\.utterance"):
        ser.Predictor(model, encoders={"mfcc": "DIR"})
    assert len(ser.Predictor(model, encoders={"mfcc.utterance": "mfcc"}).predict(good)) == 1
    for given, words in (
        ("WRONG=DIR", "is of no store that the model reads"),
        ("mfcc.utterance", "'mfcc.utterance' is not a pair; expected NAME=VALUE"),
        ("mfcc.utterance=", "is not a pair"),
        ("=", "is not a pair"),
        ("", "the value is empty"),
        ("a=b,a=c", "'a' is there twice"),
    ):
        assert main(["predict", str(good), "--model", str(model), "--encoders", given]) in (1, 2)
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", ["there is no model nothing", "expected an experiment of ser fit --save", "ser results list"]),
        ("anna/emotions", ["there is no model anna/emotions", "fetch it first: ser pull anna/emotions"]),
        ("results/nothing", ["there is no model results/nothing"]),
        ("m.onnx", ["cannot read the model m.onnx", "found nothing there", "ser export onnx EXPERIMENT --output m.onnx"]),
        ("m.safetensors", ["cannot read the head m.safetensors", "No such file"]),
    ],
)
def test_a_model_that_is_not_there_is_said_with_where_to_get_one(
    trained: Path, good: Path, name: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    for command in ("predict", "serve"):
        assert main([command, *([str(good)] if command == "predict" else []), "--model", name]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert [word for word in words if word not in said] == [], said
        assert ("ser pull" in said) == (name == "anna/emotions")


def test_samples_bytes_and_open_files_are_predicted_as_their_file(model: Path, good: Path) -> None:
    samples, rate = soundfile.read(good, dtype="float32")
    whole = np.round(samples.astype(np.float64) * 2**15).astype(np.int16)
    content = good.read_bytes()
    flac = io.BytesIO()
    soundfile.write(flac, whole, rate, format="FLAC")
    flac.seek(0)
    with good.open("rb") as opened:
        found = ser.Predictor(model).predict(
            [good, (samples, rate), (np.stack([samples, samples], axis=1), rate), (whole, rate), content, opened, flac]
        )
    assert list(found["error"]) == [""] * 7
    assert list(found["file"])[1:5] == ["samples 2", "samples 3", "samples 4", "bytes 5"]
    assert found["file"][5] == str(good)
    np.testing.assert_allclose(found["p_anger"], found["p_anger"][0], atol=1e-6)


def test_a_single_recording_stands_for_a_list_of_one(model: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, rate = soundfile.read(good)
    predictor = ser.Predictor(str(model))
    for one in (good, str(good), (samples, rate), good.read_bytes(), io.BytesIO(good.read_bytes())):
        assert len(predictor.predict(one)) == 1
    monkeypatch.chdir(model.parents[2])
    files = sorted(Path("results", model.parent.name).glob("*.safetensors"))
    for given in (model.parent.name, Path("results", model.parent.name), ser.load_result(model.parent.name)):
        assert ser.Predictor(given).files == files
    with pytest.raises(ConfigError, match="nothing-of-this-name"):
        ser.Predictor("nothing-of-this-name")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (np.zeros(16000), r"recording 1; expected .*pair \(samples, rate in Hz\).*array of the shape \(16000,\)"),
        ([np.zeros(16000)], "without its rate"),
        ([Path("a.wav"), 3], "recording 2; expected a path.*found 3"),
        ([(16000, np.zeros(9))], "recording 1"),
        ([{"array": 1}], "recording 1"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(model: Path, given: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as caught:
        ser.Predictor(model).predict(given)
    assert "\n" not in str(caught.value)


def test_each_recording_that_cannot_be_used_is_a_row_and_nothing_hangs(model: Path, good: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    os.mkfifo(tmp_path / "pipe.wav")
    samples, rate = soundfile.read(good)
    closed = io.BytesIO(b"")
    closed.close()
    bad: list[tuple[Any, str]] = [
        (tmp_path / "nothing.wav", "nothing.wav is not there"),
        (tmp_path, "folder"),
        (tmp_path / "pipe.wav", "named pipe"),
        (Path("/dev/zero"), "device"),
        (tmp_path / "empty.wav", "is empty"),
        (tmp_path / "text.wav", "is a text file, not audio"),
        ("", "there is no file"),
        (None, "there is no file"),
        (b"", "bytes 10 is empty"),
        (b"RIFF", "bytes 11 cannot be decoded"),
        (closed, "cannot read file 12"),
        (io.StringIO("a"), "does not give bytes"),
        ((samples * np.nan, rate), "not finite"),
        ((samples[None], rate), "has the shape"),
        ((samples[:0], rate), "has the shape"),
        ((samples * 2**15, rate), "full scale"),
        ((samples.astype("<U9"), rate), "type"),
        ((samples, 0), "sample rate"),
        ((samples, float("nan")), "sample rate"),
        ((samples[:10], rate), "shorter"),
        ((samples * 0, rate), "silent"),
    ]
    found = ser.Predictor(model).predict([good, *(value for value, _ in bad[:8]), *(value for value, _ in bad[8:])])
    for error, (_, said) in zip(found["error"][1:], bad, strict=True):
        assert said in error, (error, said)
        assert "table" not in error
        assert "--root" not in error
        assert str(tmp_path.parent.parent) not in error or str(tmp_path) in error  # no temporary file's name
    assert list(found["predicted"][1:]) == [""] * len(bad)
    assert found["probability"][1:].isna().all()
    alone = ser.Predictor(model).predict([good])
    assert found["p_anger"][0] == alone["p_anger"][0]


def test_a_missing_file_on_the_command_line_is_a_row(
    model: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "--model", str(model), "--format", "jsonl"]
    missing = tmp_path / "nothing.wav"
    assert main([*words, str(missing), str(good)]) == 3
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"file": str(missing), "error": f"{missing} is not there"}
    assert second["predicted"]
    (tmp_path / "list.csv").write_text(f"file\nnothing.wav\n{good}\n")
    assert main([*words, "--list", str(tmp_path / "list.csv")]) == 3
    assert "is not there" in capsys.readouterr().out
    assert main([*words, str(good)]) == 0


def test_files_of_a_folder_that_are_left_out_are_named(
    model: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.webm", "b.MP4", "c.aac", "d.wma", "notes.txt", "more.txt", "page"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "e.wav").write_bytes(good.read_bytes())
    assert main(["predict", str(tmp_path), "--model", str(model), "--format", "csv"]) == 3
    told = capsys.readouterr()
    found = pd.read_csv(io.StringIO(told.out))
    assert [Path(f).name for f in found["file"]] == ["a.webm", "b.MP4", "c.aac", "d.wma", "e.wav"]
    assert "left out: 3 files that are not audio by their ending (.txt 2, without ending 1)" in told.err
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.txt").touch()
    with pytest.raises(ConfigError, match=r"no audio found; expected .*\.webm.*; found \.txt 1"):
        audio_files([tmp_path / "only"])


def test_a_name_that_is_not_utf8_and_one_with_a_line_break(
    model: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (b"\xe4.wav", b"two\nlines.wav"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(good.read_bytes())
    assert main(["predict", str(tmp_path), "--model", str(model), "--format", "csv"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert sorted(Path(f).name for f in found["file"]) == ["\\udce4.wav", "two\nlines.wav"]
    assert main(["predict", str(tmp_path), "--model", str(model)]) == 0


def test_the_head_says_how_long_its_training_utterances_were(trained: Path, model: Path, good: Path) -> None:
    about = head_facts(model)
    table = pd.read_csv(trained / "metadata" / "mine.csv")
    (record,) = (trained / "results" / "mine").glob(f"{model.stem}.json")
    rows = pd.read_csv(record.with_suffix(".csv"))
    training = table[~table["utterance_id"].isin(rows["utterance_id"])]["duration"]
    assert msgspec.structs.asdict(about.durations) == {
        "min": training.min(),
        "median": training.median(),
        "max": training.max(),
    }
    samples, rate = soundfile.read(good)
    said: list[str] = []
    predictor = ser.Predictor(model, say=said.append)
    predictor.predict([(samples, rate)])
    assert said == []
    times = int(2 * training.max() / (len(samples) / rate)) + 1
    predictor.predict([(samples, rate), (np.tile(samples, times), rate)])
    (warning,) = said
    assert warning.startswith("1 of 2 recordings is over 2 times as long as the longest utterance in training")
    assert "samples 2 (" in warning


def test_a_recording_is_long_by_the_head_whose_training_utterances_were_shortest(
    model: Path, good: Path, tmp_path: Path
) -> None:
    """Each head of a cross-validation was trained on others, and all of them answer."""
    with safe_open(model, framework="pt") as file:
        about = json.loads(file.metadata()["ser"])
    samples, rate = soundfile.read(good)
    seconds = len(samples) / rate
    files = []
    for k, longest in enumerate((9 * seconds, seconds / 3)):
        own = {"min": (k + 1) * seconds / 9, "median": seconds / 5, "max": longest}
        save_file(load_file(model), tmp_path / f"{k}.safetensors", metadata={"ser": json.dumps({**about, "durations": own})})
        files.append(tmp_path / f"{k}.safetensors")
    said: list[str] = []
    predictor = ser.Predictor(files, say=said.append)
    predictor.predict([good])
    assert [line for line in said if f"as the longest utterance in training ({seconds / 3:.1f} s)" in line]
    assert predictor.durations == durations_of([load_head(file) for file in files])
    assert msgspec.structs.astuple(predictor.durations) == (2 * seconds / 9, seconds / 5, seconds / 3)


def test_rows_are_encoded_in_threads_where_the_encoder_can(
    trained: Path, model: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [good, trained / "nothing.wav", *sorted((trained / "corpus" / "AudioWAV").glob("*.wav"))[:12]]
    one_by_one = ser.Predictor(model).predict(files)
    predictor = ser.Predictor(model)
    (encoder,) = predictor.encoders
    encode, met, begun = encoder.encode, threading.Barrier(2), iter(range(len(files)))

    def meeting(inputs: Any) -> Any:
        if next(begun) < 2:
            met.wait(60)  # for another that is encoding too
        return encode(inputs)

    monkeypatch.setattr(encoder, "threads", True, raising=False)
    monkeypatch.setattr(encoder, "encode", meeting)
    monkeypatch.setattr("ser.predict.judge.cores", lambda: 2)
    pd.testing.assert_frame_equal(predictor.predict(files), one_by_one)
    assert egemaps.load("egemaps", EncoderOptions()).threads


@pytest.mark.parametrize(("limit", "most"), [(240.0, 8), (0.1, 1)])
def test_few_long_recordings_are_held_at_once(
    limit: float, most: int, trained: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((trained / "corpus" / "AudioWAV").glob("*.wav"))[:12]
    one_by_one = ser.Predictor(model).predict(files)
    predictor = ser.Predictor(model)
    (encoder,) = predictor.encoders
    encode, read, held, largest = encoder.encode, predictor._read, [0], [0]

    def reading(*given: Any) -> Any:
        held[0] += 1
        largest[0] = max(largest[0], held[0])
        return read(*given)

    def encoding(inputs: Any) -> Any:
        held[0] -= 1
        return encode(inputs)

    monkeypatch.setattr(encoder, "threads", True, raising=False)
    monkeypatch.setattr(encoder, "encode", encoding)
    monkeypatch.setattr(predictor, "_read", reading)
    monkeypatch.setattr("ser.predict.judge.cores", lambda: 2)
    monkeypatch.setattr("ser.predict.judge.HELD", limit)
    pd.testing.assert_frame_equal(predictor.predict(files), one_by_one)
    assert largest == [most]


def test_recordings_of_another_band_or_with_more_channels_are_named(
    trained: Path, model: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert msgspec.structs.asdict(head_facts(model).audio) == {"lowest_rate": 16000, "highest_rate": 16000, "channels": 1}
    samples, rate = soundfile.read(good)
    soundfile.write(tmp_path / "telephone.wav", samples[::2], rate // 2)
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), rate)
    said: list[str] = []
    predictor = ser.Predictor(model, say=said.append)
    predictor.predict([good, (samples, rate)])
    assert not [line for line in said if "band" in line or "channels" in line]
    predictor.predict([good, tmp_path / "telephone.wav", tmp_path / "stereo.wav", tmp_path / "none.wav"])
    narrow, several = (line for line in said if "band" in line or "channels" in line)
    assert narrow.startswith("1 of 3 recordings has a narrower band than those in training (16000 Hz): ")
    assert f"{tmp_path / 'telephone.wav'} (8000 Hz); above 4000 Hz there is nothing, and the head heard" in narrow
    assert "ser evaluate --suite" in narrow
    assert several.startswith("1 of 3 recordings has several channels, of which the mean is heard")
    said.clear()
    both = tmp_path / "both.wav"  # whatever a recording comes as
    soundfile.write(both, np.stack([samples[::2], samples[::2]], axis=1), rate // 2)
    with both.open("rb") as opened:
        predictor.predict([both.read_bytes(), opened, (np.stack([samples[::2]] * 2, axis=1), rate // 2)])
    assert [line[:42] for line in said if "band" in line or "channels" in line] == [
        "3 of 3 recordings have a narrower band tha",
        "3 of 3 recordings have several channels, o",
    ]
    said.clear()
    predictor.predict([tmp_path / "stereo.wav"], segments={"channel": [1]})
    assert not [line for line in said if "channels" in line]
    predictor.predict([tmp_path / "stereo.wav"] * 2, segments={"channel": [1, None]})
    assert [line[:35] for line in said if "channels" in line] == ["1 of 2 recordings has several chann"]
    assert main(["predict", str(tmp_path / "telephone.wav"), "--model", str(model), "--window", "1"]) == 0
    assert "a narrower band than those in training" in " ".join(capsys.readouterr().err.split())
    predictor.head.about.audio = msgspec.UNSET  # of an earlier version
    said.clear()
    predictor.predict([tmp_path / "telephone.wav", tmp_path / "stereo.wav"])
    assert not [line for line in said if "band" in line or "channels" in line]


def test_a_study_names_its_experiments_with_heads(tmp_path: Path) -> None:
    names = [{"experiment": name} for name in ("source-only", "fine-tuned", "target-only")]
    (tmp_path / "finetune.json").write_text(json.dumps({"variants": names, "data": {}}))
    with pytest.raises(ConfigError, match="a study of 3 experiments, none of which saved a head"):
        find_heads("finetune", tmp_path)
    (tmp_path / "fine-tuned").mkdir()
    (tmp_path / "fine-tuned" / "run-000.fold-1.safetensors").touch()
    with pytest.raises(ConfigError, match=r"a study, whose experiments have the heads; expected one of them: fine-tuned$"):
        find_heads("finetune", tmp_path)
    layers = {"positions": names[::2], "all_layers": {"experiment": "all-layers"}}
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    with pytest.raises(ConfigError, match="a study of 3 experiments, none of which saved a head"):
        find_heads("layers", tmp_path)
    (tmp_path / "all-layers").mkdir()
    (tmp_path / "all-layers" / "run-000.fold-1.safetensors").touch()
    with pytest.raises(ConfigError, match=r"expected one of them: all-layers$"):
        find_heads("layers", tmp_path)
    (tmp_path / "fit.json").write_text(json.dumps({"runs": [{"run": 0}]}))
    with pytest.raises(ConfigError, match=r"fit saved no head\. Give the command of its record again, with --save"):
        find_heads("fit", tmp_path)


def test_a_wider_band_than_in_training_is_named() -> None:
    trained = AudioForm(lowest_rate=8000, highest_rate=11025, channels=2)
    heard = [Heard(name, rate, 2) for name, rate in zip("abcd", (8000, 11025, 16000, 11025), strict=True)]
    (line,) = form_notes(heard, trained, 16000)
    assert line == (
        "1 of 4 recordings has a wider band than those in training (8000 to 11025 Hz): c (16000 Hz); "
        "the head hears what lies above 5512 Hz, which it never met in training. Resample to 11025 Hz."
    )
    assert list(form_notes([Heard("a", 7300, 5)], trained, 16000)) == []
    assert list(form_notes(heard, trained, 8000)) == []
    assert list(form_notes(heard, None, 16000)) == []


def test_heads_that_do_not_say_how_long_warn_of_nothing() -> None:
    assert long_note(["a"], np.array([100.0]), None) == ""
    assert long_note(["a", "b"], np.array([np.nan, 9.0]), 5.0) == ""
    assert "b (11.0 s)" in long_note(["a", "b"], np.array([np.nan, 11.0]), 5.0)


def test_sound_unlike_the_training_is_novel(trained: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = (trained / "results" / "mine").glob(f"{model.stem}.json")
    tested = pd.read_csv(record.with_suffix(".csv"))
    corpus = trained / "corpus" / "AudioWAV"
    training = [p for p in sorted(corpus.glob("*.wav")) if p.stem not in set(tested["utterance_id"])]
    said: list[str] = []
    predictor = ser.Predictor(model, say=said.append)
    novelty = predictor.predict(training)["novelty"]
    assert (novelty > 1).sum() == 1  # of 24 or so: the one beyond the quantile of 0.99
    assert not [line for line in said if "unlike" in line]
    head = load_head(model)
    store = [*FeatureStore(trained / "features" / "mine" / "mfcc.utterance.h5").read([p.stem for p in training])]
    statistics = head.statistics["mfcc.utterance"]
    away = np.clip((np.stack(store) - statistics["mean"]) / statistics["std"], -3, 3)
    distance = np.sqrt((away**2).mean(1))
    np.testing.assert_allclose(novelty, distance / np.quantile(distance, 0.99), rtol=1e-3)
    noise = (np.random.default_rng(0).normal(0, 0.2, 32000).astype(np.float32), 16000)
    assert predictor.predict([noise])["novelty"][0] > 1.2
    assert said[-1].startswith("1 of 1 recording is unlike the utterances in training")
    predictor.predict([noise, *[trained / "none.wav"] * 200])  # that is not by chance among those that were heard
    assert said[-1].startswith("1 of 1 recording is unlike the utterances in training")
    rows = predictor.timeline(noise, 1.0, hop=1.0)
    assert rows["novelty"].min() > 1
    assert said[-1].startswith("samples: 2 of 2 separate windows are unlike")
    telephone = (soxr.resample(soxr.resample(noise[0], 16000, 8000), 8000, 16000), 16000)
    said.clear()
    decoded: list[str] = []
    decode = Recording.decode
    monkeypatch.setattr(Recording, "decode", lambda one: decoded.append(one.name) or decode(one))
    predictor.predict([noise, telephone])
    assert decoded == ["samples 1", "samples 2"]  # once each
    assert said[0].startswith("samples 2: nothing above 4400 Hz, as in recordings of a telephone")
    assert telephone_note([], predictor.head.audio, 16000) == ""  # of texts alone
    predictor.timeline(telephone, 1.0, hop=1.0)
    assert said[-1].startswith("samples: nothing above 4400 Hz, as in recordings of a telephone")


def test_heads_of_before_say_nothing_of_novelty(model: Path, good: Path, tmp_path: Path) -> None:
    predictor = ser.Predictor(model)
    predictor.head.about.novelty = msgspec.UNSET
    assert "novelty" not in predictor.predict(good)


def test_one_that_is_far_is_named_among_many() -> None:
    some = np.array([0.9, np.nan, 1.1, *[0.8] * 97])
    assert novelty_note(["x"] * 100, some) == ""
    some[7] = 1.6
    assert novelty_note([str(k) for k in range(100)], some).endswith("the answers there may mean nothing: 7 (1.60), 2 (1.10)")


def test_few_beyond_the_limit_are_no_news() -> None:
    assert [is_beyond_chance(n, t) for n, t in ((0, 1), (1, 1), (1, 2), (1, 10), (2, 10), (3, 100), (6, 100))] == [
        *[False, True, False, False, True, False, True]
    ]


def test_a_prediction_that_is_not_finite_is_no_answer(model: Path, good: Path, tmp_path: Path) -> None:
    """A head of such weights may be refused when it is read; else its answers are errors."""
    with safe_open(model, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(model)
    tensors["weights.0"] = torch.full_like(tensors["weights.0"], float("nan"))
    save_file(tensors, tmp_path / "odd.safetensors", metadata=metadata)
    try:
        predictor = ser.Predictor(tmp_path / "odd.safetensors")
    except ConfigError:
        return
    found = predictor.predict([good])
    assert found["predicted"][0] == ""
    assert "not finite" in found["error"][0]


def test_an_experiment_answers_by_the_mean_of_its_heads(trained: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((trained / "results" / "mine").glob("*.safetensors"))
    assert len(files) == 3
    each = [ser.Predictor(file).predict(good)["p_anger"][0] for file in files]
    assert len(set(each)) == 3
    command = ["predict", str(good), "--model", "mine", "--format", "jsonl", "--workspace", str(trained)]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["p_anger"] == pytest.approx(np.mean(each), abs=1e-9)
    assert "mean of 3 heads" in err


def test_heads_of_several_experiments_are_not_averaged(model: Path, tmp_path: Path) -> None:
    with safe_open(model, framework="pt") as file:
        about = json.loads(file.metadata()["ser"])
    about["classes"] = about["classes"][::-1]
    save_file(load_file(model), tmp_path / "other.safetensors", metadata={"ser": json.dumps(about)})
    with pytest.raises(ConfigError, match=r"other\.safetensors answers something else than the first one"):
        ser.Predictor([model, tmp_path / "other.safetensors"])


def test_a_recording_is_drawn_with_its_answer(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = next((trained / "results" / "mine").glob("*.safetensors"))
    good = next((trained / "corpus" / "AudioWAV").glob("*.wav"))
    predictor = ser.Predictor(model)
    row = predictor.predict([good]).iloc[0]
    figure = predictor.plot(good)
    bars = figure.axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([row["p_anger"], row["p_sadness"]])
    assert figure.get_suptitle() == f"{good.name}: {row['predicted']}"
    assert figure.axes[0].get_xlim() == pytest.approx((0, soundfile.info(good).duration))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    with pytest.raises(AudioError):
        predictor.plot(bad)
    words = ["predict", str(good), str(bad), str(good), "--model", str(model), "--picture", str(tmp_path / "out")]
    assert main(words) == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{good.stem}-2.png", f"{good.stem}.png"]
    assert main([*words, "--window", "1"]) == 2
    assert "Leave one out" in capsys.readouterr().err
    own = tmp_path / "out" / f"{good.stem}-2.png"
    own.write_text("mine")
    assert main(words) == 2
    assert f"{good.stem}.png is there already" in capsys.readouterr().err
    assert own.read_text() == "mine"
    assert main([*words, "--overwrite"]) == 3
    assert own.read_bytes().startswith(b"\x89PNG")


def test_each_recording_has_a_picture_of_its_own(tmp_path: Path) -> None:
    given = ["x/b.wav", "y/b.wav", "z/b-2.wav", "w/b.wav"]
    found = places(Inputs([Recording(name, Path(name)) for name in given]), tmp_path, overwrite=False)
    assert [path.name for path in found] == ["b.png", "b-2.png", "b-2-2.png", "b-3.png"]


def test_a_picture_has_the_ratings_of_a_head_on_a_class_and_dimensions() -> None:
    answer = pd.Series({"file": "a.wav", "predicted": "joy", "probability": 1.0, "error": "", "p_joy": 1.0, "valence": 2.5})
    title = draw(np.ones(16000, np.float32), 16000, answer, "mixed", "a.wav").get_suptitle()
    assert title == "a.wav: joy, valence 2.50"


def test_bars_of_ratings_begin_at_the_low_end_of_their_scale() -> None:
    answer = pd.Series({"file": "a.wav", "error": "", "valence": 2.0, "arousal": 7.4, "novelty": 0.5})
    five, seven = {"low": 1.0, "high": 5.0}, {"low": 1.0, "high": 7.0}
    sound = np.ones(16000, np.float32)
    right = draw(sound, 16000, answer, "dimensions", "a.wav", {"valence": five, "arousal": seven}).axes[1]
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in right.patches] == [(1, 2), (1, pytest.approx(7.4))]
    assert right.get_xlim() == pytest.approx((1, 7 + 0.22 * 6))
    assert list(right.get_xticks()) == [1, 4, 7]
    assert [text.xy[0] for text in right.texts] == [2, 7]  # a rating beyond its scale is written at its end
    unknown = draw(sound, 16000, answer, "dimensions", "a.wav").axes[1]
    assert unknown.get_xlim()[0] == 0


def test_a_picture_of_a_part_says_which() -> None:
    answer = pd.Series({"file": "a.wav", "start": 11.5, "end": 12.5, "channel": 1, "predicted": "joy", "p_joy": 1.0})
    figure = draw(np.ones(16000, np.float32), 16000, answer, "emotion", "a.wav")
    assert figure.get_suptitle() == "a.wav, 11.5 to 12.5 s, channel 1: joy"
    assert figure.axes[0].get_xlim() == (11.5, 12.5)


def test_words_of_a_table_stand_at_the_left() -> None:
    found = pd.DataFrame(
        {
            "file": ["a.wav", "longer.wav"],
            "predicted": ["anger", "joy"],
            "probability": [1, 0.5],
            "error": "",
            "p_joy": [0, 0.5],
        }
    )
    assert as_text(found, "table").splitlines() == [
        "file        predicted  probability  p_joy",
        "----------  ---------  -----------  -----",
        "a.wav       anger            1.000  0.000",
        "longer.wav  joy              0.500  0.500",
    ]


def test_empty_places_are_empty_in_a_table() -> None:
    found = pd.DataFrame({"file": ["a", "b"], "start": [1.0, None], "error": ""})
    found["channel"] = pd.array([None, 1], dtype="Int64")
    assert [line.split() for line in as_text(found, "table").splitlines()[2:]] == [["a", "1.000"], ["b", "1"]]


def test_a_tone_is_where_it_sounds_in_the_spectrogram() -> None:
    rate = 16000
    time = np.arange(rate) / rate
    sound = (np.sin(2 * np.pi * 2000 * time) * (time > 0.5)).astype(np.float32)
    decibels, seconds, highest = spectrogram(sound, rate)
    band, frame = np.unravel_index(decibels.argmax(), decibels.shape)
    assert band / (len(decibels) - 1) * highest == pytest.approx(2000, abs=50)
    assert frame / decibels.shape[1] * seconds > 0.5
    assert decibels[:, : decibels.shape[1] // 3].max() < -70


def test_a_folder_of_heads_is_a_model_and_an_empty_one_is_none(model: Path, tmp_path: Path) -> None:
    assert find_heads(str(model.parent), tmp_path) == sorted(model.parent.glob("*.safetensors"))
    with pytest.raises(ConfigError, match=r"the folder .* holds no model; expected config.json, as ser export folder"):
        find_heads(str(tmp_path), tmp_path)
