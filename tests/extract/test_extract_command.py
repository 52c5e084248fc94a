"""`ser extract` and `ser store` from the command line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.cli import main
from ser.errors import ConfigError
from ser.extract.request import ExtractionRequest
from ser.features.stores.store import FeatureStore, shards_folder
from ser.metadata.table import make_table

COUNT = 6


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """`label/*.wav`, as the corpus plugin `folder` reads it."""
    root = tmp_path / "corpus"
    for number in range(COUNT):
        path = root / ("anger" if number % 2 else "neutral") / f"u{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(0, 0.1, 8000).astype(np.float32)
        soundfile.write(path, noise, 16000)
    return root


Ser = Callable[..., int]


@pytest.fixture
def ser(tmp_path: Path) -> Ser:
    def run(*words: str) -> int:
        return main([*words, "--workspace", str(tmp_path / "work")])

    return run


@pytest.fixture
def table(ser: Ser, corpus: Path) -> None:
    assert ser("metadata", "--dataset", "mine", "--format", "folder", "--root", str(corpus)) == 0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "work" / "features" / "mine" / "logmel.h5"


EXTRACT = ("extract", "--dataset", "mine", "--audio", "logmel", "--jobs", "1")


def test_extract_says_what_it_did(ser: Ser, table: None, store: Path, capsys: pytest.CaptureFixture[str], corpus: Path) -> None:
    assert ser(*EXTRACT) == 0
    assert f"mine logmel: {COUNT} done, 0 skipped, 0 failed -> {store} (" in capsys.readouterr().out
    with FeatureStore(store) as made:
        assert len(made) == COUNT
        assert made[made.ids[0]].shape[1] == made.dim == 64
    (corpus / "neutral" / "u0.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    assert ser(*EXTRACT) == 3
    said = capsys.readouterr()
    assert f"mine logmel: 0 done, {COUNT - 1} skipped, 1 failed" in said.out
    assert "logmel.failures.csv" in said.err
    assert ser(*EXTRACT, "--quiet") == 3
    assert capsys.readouterr().out == ""


def test_pointers_in_place_of_audio_are_one_message(
    ser: Ser, table: None, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, path in enumerate(corpus.rglob("*.wav")):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize %d\n" % 10**number)
    capsys.readouterr()
    assert ser(*EXTRACT) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"none of {COUNT} utterances can be used, all of them alike" in said[0]
    assert "git lfs pull" in said[0]


def test_root_may_move(ser: Ser, table: None, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = corpus.rename(corpus.with_name("moved"))
    assert ser(*EXTRACT) == 1
    assert "--root" in capsys.readouterr().err
    assert ser(*EXTRACT, "--root", str(moved)) == 0
    assert "its audio is now read below" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--audio", "logmle"], 2, "Did you mean 'logmel'"),
        (["--text", "logmel"], 2, "this is an encoder of audio; expected --audio logmel"),
        (["--audio", "logmel", "--shard", "2/2"], 2, "is not I/N"),
        (["--audio", "logmel", "--layers", "some"], 2, "is not last, all"),
        (["--audio", "logmel", "--shard", "0/2", "--overwrite"], 2, "--overwrite and --shard"),
        (["--dataset", "mine,other", "--root", "."], 2, "--root is one corpus's folder"),
        (["--text", "wordpiece"], 1, "mine has no text"),
        (["--audio", "logmel,mfcc", "--revision", "abc"], 2, "--revision is a commit of one model; expected NAME@REVISION"),
    ],
)
def test_wrong_usage(
    ser: Ser, table: None, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    assert ser("extract", *([] if "--dataset" in words else ["--dataset", "mine"]), *words) == code
    assert message in capsys.readouterr().err
    assert not store.exists()


def test_the_help_says_where_shards_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "--help"]) == 0
    assert "part I (0 to N - 1) of N" in " ".join(capsys.readouterr().out.split())


def test_default_encoders_are_those_of_what_the_corpus_has() -> None:
    audio = {"utterance_id": "a", "path": "a.wav", "label": "x", "emotion": "neutral"}
    text = {"utterance_id": "b", "text": "b", "label": "x", "emotion": "neutral"}
    both = ExtractionRequest().encoders(make_table([audio, text], "t"))
    assert both == [("audio", "emotion2vec"), ("text", "bert")]
    assert ExtractionRequest().encoders(make_table([audio], "t")) == [("audio", "emotion2vec")]
    assert ExtractionRequest().encoders(make_table([text], "t")) == [("text", "bert")]
    assert ExtractionRequest(text=["wordpiece"]).encoders(make_table([audio, text], "t")) == [("text", "wordpiece")]


def test_shards_and_the_store_commands(
    ser: Ser, table: None, store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ser(*EXTRACT, "--shard", "0/2") == 0
    assert ser(*EXTRACT, "--shard", "1/2") == 0
    assert len(list(shards_folder(store).glob("*.h5"))) == 1  # six utterances are one chunk
    capsys.readouterr()
    assert ser("store", "info") == 0
    assert "1 shards to merge" in capsys.readouterr().out
    assert ser("store", "merge", "--dataset", "mine", "--store", "logmel") == 0
    assert f"mine logmel: 1 shards merged, {COUNT} utterances" in capsys.readouterr().out
    assert ser("store", "merge") == 0
    assert "mine logmel: merged already" in capsys.readouterr().out
    assert ser("store", "info", "--verbose") == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert first.startswith(f"mine logmel: {COUNT} utterances, audio, frame level, 64 float32, 16000 Hz")
    assert json.loads(rest)["identity"]["plugin"] == "logmel"
    assert ser("store", "export", "--output", str(tmp_path / "out")) == 0
    with np.load(tmp_path / "out" / "mine.logmel.npz") as exported, FeatureStore(store) as made:
        assert list(exported["ids"]) == made.ids
        begin, end = exported["offsets"][1:3]
        np.testing.assert_array_equal(exported["features"][begin:end], made[made.ids[1]])
    capsys.readouterr()
    assert ser("store", "export", "--format", "csv") == 1
    assert "does not have one vector per utterance" in capsys.readouterr().err
    assert ser("store", "info", "--store", "logmle") == 2
    assert "Did you mean 'logmel'" in capsys.readouterr().err


def test_verify_finds_and_repair_drops(ser: Ser, table: None, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ser(*EXTRACT) == 0
    assert ser("store", "verify") == 0
    assert f"{COUNT} utterances, all as they were written" in capsys.readouterr().out
    with FeatureStore(store) as made:
        spoilt = made.ids[2]
        needle = made[spoilt].tobytes()
    content = bytearray(store.read_bytes())
    content[content.find(needle)] ^= 1
    store.write_bytes(content)
    assert ser("store", "verify") == 3
    assert f"damaged: {spoilt}. `ser store verify --repair` drops them" in capsys.readouterr().out
    assert ser("store", "verify", "--repair") == 3
    assert ser("store", "verify") == 0
    capsys.readouterr()
    assert ser(*EXTRACT) == 0
    assert f"1 done, {COUNT - 1} skipped, 0 failed" in capsys.readouterr().out
    os.truncate(store, 1000)
    assert ser("store", "info") == 3
    assert "is truncated or damaged" in capsys.readouterr().err
    assert ser("store", "verify") == 3
    assert "1 file damaged: " in capsys.readouterr().out
    assert ser("store", "verify", "--repair") == 3
    assert ser("store", "verify") == 2
    assert "there are no feature stores" in capsys.readouterr().err
    assert ser(*EXTRACT) == 0
    assert f"{COUNT} done, 0 skipped" in capsys.readouterr().out


def test_export_of_pooled_features_is_a_table(
    ser: Ser, table: None, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ser.features.stores.layout import Facts, Record
    from ser.features.stores.writer import StoreWriter

    pooled = store.with_name("pooled.h5")
    with StoreWriter(pooled, Facts("pooled", "audio", "utterance", 2, {})) as writer:
        writer.commit([Record(i, np.array([n, 0.5], np.float32), bytes(32)) for n, i in enumerate("ab")])
    assert ser("store", "export", "--store", "pooled", "--format", "csv", "--output", str(tmp_path)) == 0
    frame = pd.read_csv(tmp_path / "mine.pooled.csv")
    assert frame.to_dict("list") == {"utterance_id": ["a", "b"], "f0": [0.0, 1.0], "f1": [0.5, 0.5]}
    own = tmp_path / "mine.csv"
    assert ser("store", "export", "--store", "pooled", "--output", str(own)) == 0
    assert own.read_bytes() == (tmp_path / "mine.pooled.csv").read_bytes()
    assert ser("store", "export", "--store", "pooled", "--format", "npz", "--output", str(own), "--overwrite") == 2
    assert (
        "mine.csv is one file; expected a folder, or one store in that format; found mine/pooled as npz"
        in capsys.readouterr().err
    )
    again = ("store", "export", "--store", "pooled", "--format", "csv", "--output", str(tmp_path))
    (tmp_path / "mine.pooled.csv").write_text("mine")
    assert ser(*again) == 2
    assert (tmp_path / "mine.pooled.csv").read_text() == "mine"
    assert ser(*again, "--overwrite") == 0
    assert len(pd.read_csv(tmp_path / "mine.pooled.csv")) == 2


def test_a_head_trained_on_rounded_features_finds_its_encoder() -> None:
    """float16 is how frames were stored, not how they were computed: `ser predict` must not refuse the encoder for it."""
    from types import SimpleNamespace

    from ser.extract.encoder import load
    from ser.extract.options import EncoderOptions
    from ser.predict.head_encoders import load_encoder

    logmel = load("logmel", "audio", EncoderOptions())
    kept = {"encoder": "logmel", "identity": {**logmel.identity, "stored_as": "float16"}}
    source: Any = SimpleNamespace(modality="audio", name="logmel")
    assert load_encoder(source, kept, None, None, "cpu", print).identity == logmel.identity
    kept["identity"] = {**logmel.identity, "window": 1}
    with pytest.raises(ConfigError, match="not the one that the head was trained with"):
        load_encoder(source, kept, None, None, "cpu", print)


@pytest.mark.parametrize(
    ("words", "name", "shape"),
    [
        ([], "tiny-speech.layers-all", (4, 32)),
        (["--layers", "last"], "tiny-speech", (32,)),
        (["--level", "frame"], "tiny-speech.frame", (32,)),
        (["--layers", "1,2"], "tiny-speech.layers-1-2", (2, 32)),
    ],
)
def test_all_layers_of_a_speech_encoder_are_kept_of_an_utterance(
    ser: Ser, table: None, tmp_path: Path, words: list[str], name: str, shape: tuple[int, ...]
) -> None:
    from ser.extract.encoders import speech

    folder = str(speech.example(tmp_path / "tiny-speech"))
    assert ser("extract", "--dataset", "mine", "--audio", folder, "--jobs", "1", "--quiet", *words) == 0
    with FeatureStore(tmp_path / "work" / "features" / "mine" / f"{name}.h5") as store:
        assert store.shape == shape
        assert store.facts.identity["layers"] == {4: [0, 1, 2, 3], 2: [1, 2]}.get(shape[0], [3])


@pytest.mark.parametrize("encoder", ["logmel", "mfcc", "egemaps"])
def test_a_device_that_is_not_here_is_refused_whoever_uses_it(
    ser: Ser, table: None, capsys: pytest.CaptureFixture[str], encoder: str
) -> None:
    assert ser("extract", "--dataset", "mine", "--audio", encoder, "--device", "cuda:63") == 2
    assert "--device cuda:63: there is no such device here" in capsys.readouterr().err


def test_an_option_of_one_encoder_is_left_out_for_those_that_have_none(
    ser: Ser, table: None, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--window exact` with a Whisper beside log-mel bands; where none has windows it is refused."""
    from ser.extract.encoders import whisper

    folder = whisper.example(tmp_path / "tiny-whisper")
    words = ("extract", "--dataset", "mine", "--window", "exact")
    assert ser(*words, "--audio", f"logmel,{folder}") == 0
    assert "logmel: --window exact is left out, as it has none" in capsys.readouterr().err
    assert {path.name for path in store.parent.glob("*.h5")} == {"logmel.h5", "tiny-whisper.exact.layers-all.h5"}
    assert ser(*words, "--audio", "logmel,mfcc") == 2
    assert "logmel: --window exact; expected published" in capsys.readouterr().err
    assert not (store.parent / "mfcc.h5").exists()


def test_a_head_on_statistics_of_one_stored_layer_finds_its_encoder(tmp_path: Path) -> None:
    """`ser fit --layer 1` on a store of `--pooling mean,std --layers all`: the encoder gives that layer's statistics alone."""
    from ser.extract.encoder import load
    from ser.extract.encoders import speech
    from ser.extract.options import EncoderOptions
    from ser.predict.head_encoders import load_encoder
    from ser.train.nn.layers import Input

    folder = str(speech.example(tmp_path / "tiny-speech"))
    stored = load(folder, "audio", EncoderOptions(pooling="mean,std", layers="all"))
    noise = np.random.default_rng(0).normal(0, 0.1, 6000).astype(np.float32)
    store = {"encoder": folder, "identity": {**stored.identity, "layers": [1]}}
    source = Input("tiny-speech.mean-std.layers-all", "audio", stored.dim, False)
    found = load_encoder(source, store, None, None, "cpu", lambda _: None)
    assert found.dim == stored.dim
    np.testing.assert_allclose(found.encode([noise])[0], stored.encode([noise])[0][1], rtol=1e-5, atol=1e-6)


def test_a_head_on_a_model_of_the_hub_finds_its_encoder_by_the_models_id(tmp_path: Path) -> None:
    """The short name of a model that no plugin lists says nothing to `ser predict`; its id does."""
    from ser.extract.encoder import load
    from ser.extract.encoders import whisper
    from ser.extract.options import EncoderOptions
    from ser.predict.head_encoders import load_encoder
    from ser.train.nn.layers import Input

    whisper.example(tmp_path / "someone" / "whisper-mine.en")
    stored = load("someone/whisper-mine.en", "audio", EncoderOptions(weights=tmp_path))
    assert stored.name == "whisper-mine-en"
    store = {"encoder": stored.name, "identity": stored.identity}
    source = Input(stored.name, "audio", stored.dim, False)
    assert load_encoder(source, store, None, tmp_path, "cpu", lambda _: None).identity == stored.identity
