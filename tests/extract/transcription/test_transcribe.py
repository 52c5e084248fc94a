"""Speech to text: what transformers itself gives, batches that change nothing, resuming, and features of the transcripts."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from numpy.typing import NDArray

from ser.cli import main
from ser.errors import AudioError, ConfigError, EncoderError, StoreError
from ser.extract.options import EncoderOptions
from ser.extract.transcription.transcribe import TranscriptReport, transcribe, word_errors
from ser.extract.transcription.transcriber import Spoken, Transcriber, load_transcriber
from ser.features.stores.lock import Lock
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_tensors
from ser.metadata.table import Table, load_table, make_table, write_table
from ser.metadata.texts.text_sources import Transcripts
from ser.workspace import Workspace
from tests.conftest import Copied

RATE, COUNT = 16000, 20
TEXTS = ("Kids are talking by the door.", "Dogs are sitting by the door.")


@pytest.fixture(scope="module")
def speaking(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = models.whisper_speaking(tmp_path_factory.mktemp("models") / "tiny-speaking")
    return folder


@pytest.fixture(scope="module")
def english(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = models.whisper_speaking(tmp_path_factory.mktemp("models") / "tiny-en", english=True)
    return folder


@pytest.fixture(scope="module")
def heard(speaking: Path) -> Transcriber:
    return load_transcriber(str(speaking), EncoderOptions())


def sound(number: int, seconds: float = 1.0) -> NDArray[np.float32]:
    """Noise whose colour and loudness change, so that spectrograms differ."""
    rng = np.random.default_rng(number)
    noise = np.cumsum(rng.normal(0, 1, round(seconds * RATE))) if number % 3 else rng.normal(0, 1, round(seconds * RATE))
    shaped = noise * (1 + np.sin(np.arange(len(noise)) * (1 + number) / 3000))
    return (0.5 * shaped / np.abs(shaped).max()).astype(np.float32)


class Corpus:
    """A folder of recordings and its table in a workspace."""

    def __init__(self, folder: Path) -> None:
        self.root, self.space = folder / "corpus", Workspace(folder / "work")
        self.root.mkdir(parents=True)
        for k in range(COUNT):
            soundfile.write(self.root / f"u{k:02d}.wav", sound(k, 0.6 + 0.1 * (k % 4)), RATE)

    def table(self, count: int = COUNT, language: str = "en") -> Table:
        rows = [
            {
                "utterance_id": f"u{k:02d}",
                "path": f"u{k:02d}.wav",
                "label": ("anger", "neutral")[k % 2],
                "emotion": ("anger", "neutral")[k % 2],
                "speaker": f"s{k % 5}",
                "text": TEXTS[k % 2],
                "language": language,
            }
            for k in range(count)
        ]
        write_table(make_table(rows, "toy", {"corpus": "csv", "root": str(self.root), "sentences": 2}), self.space)
        return load_table("toy", self.space)

    def transcribe(self, transcriber: Transcriber, **options: Any) -> TranscriptReport:
        return transcribe(load_table("toy", self.space), transcriber, self.space, quiet=True, **options)

    @property
    def file(self) -> Path:
        return self.space.root / "metadata" / "toy.asr-tiny-speaking.jsonl"

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.file.read_text().splitlines()[1:]]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus(tmp_path)
    made.table()
    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, heard: Transcriber) -> list[Any]:
    """The lines of transcripts that were made in one go."""
    made = Corpus(tmp_path_factory.mktemp("undisturbed"))
    made.table()
    made.transcribe(heard)
    return made.lines()


def by_transformers(folder: Path, audio: NDArray[np.float32], language: str) -> str:
    """As the library's documentation has it, one recording at a time."""
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    options: dict[str, Any] = {"language": language, "task": "transcribe"}
    given: dict[str, Any] = {"sampling_rate": RATE, "return_tensors": "pt"}
    if len(audio) > 30 * RATE:
        given |= {"truncation": False, "padding": "longest", "return_attention_mask": True}
        options["return_timestamps"] = True
    inputs = processor(audio, **given)
    ids = model.generate(**inputs, **options)
    return " ".join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())


def test_texts_are_those_of_transformers_whatever_lies_beside_them(speaking: Path, heard: Transcriber) -> None:
    audio = [sound(k, seconds) for k, seconds in enumerate((0.7, 2.0, 30.0, 34.5, 1.1, 61.0, 0.4))]
    together = heard.encode([Spoken(a, "de" if k % 2 else "en") for k, a in enumerate(audio)])
    expected = [(by_transformers(speaking, a, "de" if k % 2 else "en"), "de" if k % 2 else "en") for k, a in enumerate(audio)]
    assert together == expected
    assert len({text for text, _ in together}) > 4  # texts do depend on the audio
    assert heard.encode([Spoken(audio[3], "de")]) == together[3:4]


def test_a_language_is_given_taken_from_the_table_or_detected(speaking: Path, heard: Transcriber) -> None:
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    assert [heard.language_of(code) for code in ("de", "fr-CA", "hi", "")] == ["de", "fr", "", ""]  # hi: not of this model
    assert load_transcriber(str(speaking), EncoderOptions(), "fr").language_of("de") == "fr"
    assert load_transcriber(str(speaking), EncoderOptions(), "detect").language_of("de") == ""
    model = WhisperForConditionalGeneration.from_pretrained(speaking)
    extractor = WhisperFeatureExtractor.from_pretrained(speaking)
    settings = json.loads((speaking / "generation_config.json").read_text())
    for k in range(6):
        mel = extractor(sound(k), sampling_rate=RATE, return_tensors="pt").input_features
        with torch.no_grad():
            start = torch.tensor([[settings["decoder_start_token_id"]]])
            logits = model(input_features=mel, decoder_input_ids=start).logits[0, 0]
        likeliest = max(settings["lang_to_id"], key=lambda code: float(logits[settings["lang_to_id"][code]]))
        text, language = heard.encode([Spoken(sound(k))])[0]
        assert f"<|{language}|>" == likeliest
        assert text == by_transformers(speaking, sound(k), language)
    with pytest.raises(ConfigError, match="does not know the language 'xx'; expected one of de, en, es, fr"):
        load_transcriber(str(speaking), EncoderOptions(), "xx")


def test_a_model_of_english_only(english: Path, corpus: Corpus) -> None:
    transcriber = load_transcriber(str(english), EncoderOptions(), "en")
    assert transcriber.encode([Spoken(sound(1))])[0][1] == ""
    corpus.table(language="de")
    with pytest.raises(ConfigError, match="transcribes English only; found language de"):
        corpus.transcribe(load_transcriber(str(english), EncoderOptions()))
    with pytest.raises(ConfigError, match="does not know the language 'de'; expected one of en"):
        load_transcriber(str(english), EncoderOptions(), "de")


def test_what_was_made_is_kept_and_an_interrupt_loses_one_batch(
    corpus: Corpus, heard: Transcriber, speaking: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, calls = heard.encode, []

    def interrupted(inputs: Any) -> Any:
        calls.append(len(inputs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(inputs)

    monkeypatch.setattr(heard, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        corpus.transcribe(heard)
    monkeypatch.undo()
    assert corpus.lines() == undisturbed[:16]
    report = corpus.transcribe(heard)
    assert (report.done, report.skipped, report.failed) == (COUNT - 16, 16, 0)
    assert corpus.lines() == undisturbed
    report = corpus.transcribe(heard)
    assert (report.done, report.skipped) == (0, COUNT)
    header = json.loads(corpus.file.read_text().splitlines()[0])
    weights = hashlib.sha256((speaking / "model.safetensors").read_bytes()).hexdigest()
    assert header["schema"] == "ser.transcripts/1"
    assert header["identity"]["weights_sha256"] == weights
    assert header["identity"]["decoding"] == {"beams": 1, "temperature": 0}
    assert header["identity"]["language"] == "table"
    wav = hashlib.sha256((corpus.root / "u07.wav").read_bytes()).hexdigest()
    assert corpus.lines()[7]["source_sha256"] == wav


def test_killed_in_the_middle_it_goes_on(corpus: Corpus, speaking: Path, undisturbed: list[Any], tmp_path: Path) -> None:
    words = ["transcribe", "--dataset", "toy", "--model", str(speaking), "--jobs", "1", "--workspace", str(corpus.space.root)]
    encode = Transcriber.encode

    def slowly() -> None:  # half a second a batch, for the kill to come between
        Transcriber.encode = lambda self, inputs: time.sleep(0.5) or encode(self, inputs)  # type: ignore[func-returns-value, method-assign]

    process = Copied.command(tmp_path, words, slowly)
    until = time.monotonic() + 300  # a busy machine needs long to start
    while not corpus.file.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.ended(30)
    committed = corpus.lines()
    assert committed == undisturbed[: len(committed)]
    assert 0 < len(committed) < COUNT
    corpus.file.write_bytes(corpus.file.read_bytes() + b'{"utterance_id": "u19", "te')  # had it been writing a line
    assert main(words) == 0
    assert corpus.lines() == undisturbed


def test_a_recording_that_changes_is_transcribed_again_and_a_bad_one_is_listed(
    corpus: Corpus, heard: Transcriber, undisturbed: list[Any]
) -> None:
    corpus.transcribe(heard)
    soundfile.write(corpus.root / "u04.wav", sound(99), RATE)
    (corpus.root / "u05.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    soundfile.write(corpus.root / "u06.wav", np.zeros(RATE, np.float32), RATE)
    said: list[str] = []
    report = corpus.transcribe(heard, say=said.append)
    assert (report.done, report.skipped, report.failed) == (1, COUNT - 3, 2)
    assert said == ["asr-tiny-speaking: 2 utterances have changed since: transcribed again"]
    assert report.failures_path is not None
    listed = pd.read_csv(report.failures_path)
    assert list(listed["utterance_id"]) == ["u05", "u06"]
    assert "silent" in listed["reason"][1]
    lines = {line["utterance_id"]: line for line in corpus.lines()}
    assert "u06" not in lines  # its text is no longer that of the recording
    assert lines["u05"] == undisturbed[5]  # the file cannot be read: nothing says that it has changed
    assert lines["u04"]["source_sha256"] == hashlib.sha256((corpus.root / "u04.wav").read_bytes()).hexdigest()
    assert lines["u04"]["text"] == heard.encode([Spoken(sound_of(corpus.root / "u04.wav"), "en")])[0][0]
    corpus.table(count=10)
    corpus.transcribe(heard)
    assert [line["utterance_id"] for line in corpus.lines()] == [f"u{k:02d}" for k in range(10) if k != 6]


def sound_of(path: Path) -> NDArray[np.float32]:
    audio: NDArray[np.float32] = soundfile.read(path, dtype="float32")[0]
    return audio


def test_all_bad_is_one_error(corpus: Corpus, heard: Transcriber) -> None:
    for path in corpus.root.glob("*.wav"):
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    with pytest.raises(AudioError, match=f"none of {COUNT} utterances can be used, all of them alike"):
        corpus.transcribe(heard)


def test_transcripts_made_otherwise_are_not_mixed(corpus: Corpus, heard: Transcriber, speaking: Path) -> None:
    corpus.transcribe(heard)
    before = corpus.file.read_bytes()
    other = load_transcriber(str(speaking), EncoderOptions(), beams=2)
    with pytest.raises(StoreError, match=r"made with other settings: decoding is .*'beams': 1.* there and .*'beams': 2.* here"):
        corpus.transcribe(other)
    assert corpus.file.read_bytes() == before
    report = corpus.transcribe(other, overwrite=True)
    assert report.done == COUNT
    assert Transcripts(corpus.file).identity["decoding"]["beams"] == 2
    with closing(Lock(corpus.file, False, lambda: None)), pytest.raises(StoreError, match="another process is writing the tr"):
        corpus.transcribe(other)


def test_without_the_model_one_line_says_how_to_get_it(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    from huggingface_hub import constants

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["transcribe", "--dataset", "toy", "--workspace", str(corpus.space.root)]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0] == "the files of openai/whisper-small are not here, and are fetched from the network"
    assert len(said) == 2
    assert "openai/whisper-small" in said[1]
    assert "hf download openai/whisper-small" in said[1]


def test_another_kind_of_model_is_refused(tiny: Callable[[str], Path]) -> None:
    with pytest.raises(EncoderError, match=r"generation_config\.json"):
        load_transcriber(str(tiny("whisper")), EncoderOptions())  # the encoder's files alone


def test_from_the_command_line_to_tensors_of_transcripts(
    corpus: Corpus, speaking: Path, tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def ser(*words: str) -> int:
        return main([*words, "--workspace", str(corpus.space.root)])

    bert = str(tiny("bert"))
    extract = ("extract", "--dataset", "toy", "--text", bert, "--jobs", "1")
    transcribe = ("transcribe", "--dataset", "toy", "--model", str(speaking), "--jobs", "1")
    assert ser(*extract, "--text-source", "asr") == 1
    assert "toy has no transcripts asr. Make them with: ser transcribe --dataset toy" in capsys.readouterr().err
    assert ser(*transcribe) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"toy asr-tiny-speaking: {COUNT} done, 0 skipped, 0 failed -> {corpus.file} (")
    made = {line["utterance_id"]: line["text"] for line in corpus.lines()}
    expected = word_errors((TEXTS[int(i[1:]) % 2], text) for i, text in made.items())
    assert expected is not None
    assert f"word error rate: {100 * expected.rate:.1f} % against the corpus's text" in said[1]
    assert f"{6 * COUNT} words" in said[1]
    assert ser(*extract) == 0
    assert ser(*extract, "--text-source", "asr", "--verify", "2") == 0
    name = "tiny-bert+asr-tiny-speaking"
    with FeatureStore(corpus.space.store("toy", name)) as store, FeatureStore(corpus.space.store("toy", "tiny-bert")) as own:
        assert store.sources() == {i: hashlib.sha256(text.encode()).digest() for i, text in made.items()}
        source = store.facts.identity["text_source"]
        assert (source["name"], source["model"]) == ("asr-tiny-speaking", "tiny-speaking")
        assert "language" not in source
        assert {**store.facts.identity, "text_source": 0} == {**own.facts.identity, "text_source": 0}
        assert store.facts.encoder == own.facts.encoder == "tiny-bert"
    with pytest.raises(ConfigError, match=r"several stores of text features: tiny-bert, tiny-bert\+asr-tiny-speaking"):
        load_tensors("toy", corpus.space, scheme="native")
    assert load_tensors("toy", corpus.space, scheme="native", stores=["tiny-bert"]).text_sources == {"tiny-bert": "corpus"}
    data = load_tensors("toy", corpus.space, scheme="native", stores=["tiny-bert+asr"])
    assert data.text_sources == {name: "asr-tiny-speaking"}
    # A transcript that is another now: the features are refused, and made again.
    soundfile.write(corpus.root / "u01.wav", sound(99, 3.0), RATE)
    assert ser(*transcribe) == 0
    assert corpus.lines()[1]["text"] != made["u01"]
    with pytest.raises(StoreError, match=r"the text of u01 .*--text tiny-bert --text-source asr-tiny-speaking"):
        load_tensors("toy", corpus.space, scheme="native", stores=[name])
    assert ser(*extract, "--text-source", "asr") == 0
    load_tensors("toy", corpus.space, scheme="native", stores=[name])
    # Transcripts that are not finished are not taken for finished ones.
    corpus.file.write_text("".join(corpus.file.read_text().splitlines(keepends=True)[:-2]))
    capsys.readouterr()
    assert ser(*extract, "--text-source", "asr") == 1
    assert "2 utterances of toy have no transcript in asr-tiny-speaking, first u18" in capsys.readouterr().err
    assert ser("extract", "--dataset", "toy", "--audio", "logmel", "--text-source", "simulated") == 2
    assert "--text-source simulated is for text" in capsys.readouterr().err


def brute(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Fewest edits, by trying all."""
    if not a or not b:
        return len(a) + len(b)
    return min(brute(a[1:], b[1:]) + (a[0] != b[0]), brute(a[1:], b) + 1, brute(a, b[1:]) + 1)


def test_word_errors_are_the_fewest_edits() -> None:
    rng = random.Random(0)
    pairs = [(tuple(rng.choices("abc", k=m)), tuple(rng.choices("abc", k=n))) for m, n in product(range(1, 6), range(6))]
    found = word_errors((" ".join(a), " ".join(b)) for a, b in pairs)
    assert found is not None
    assert found.errors == sum(brute(a, b) for a, b in pairs)
    assert found.words == sum(len(a) for a, _ in pairs)
    assert word_errors([("It's here!", "its  HERE")]) == word_errors([("its here", "its here")])
    assert word_errors([("क्या बात है।", "क्या बात है")]) == word_errors([("a b c", "a b c")])  # Hindi's vowel signs stay
    assert word_errors([("", "words"), ("...", "")]) is None
