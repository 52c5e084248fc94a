"""The synthesised corpus: its layout, its repeatability, and whether it sounds as it says, by numbers."""

import csv
import hashlib
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ser.errors import ConfigError, CorpusError
from ser.metadata.corpus import parse_corpus
from ser.synthesis import MARKER, Utterance, make_corpus, plan, synthesise
from ser.synthesis.phones import PHONES, SENTENCES, tracks
from ser.synthesis.sound import glottal
from ser.synthesis.voices import ACCENTS, EMOTIONS, Style, speaker

Sound = NDArray[np.float64]
RATE = 16_000
EVEN = Style(*[0.0] * 10)


@pytest.fixture(scope="module")
def sounds() -> dict[Utterance, Sound]:
    """Twelve speakers, three sentences, six emotions, made in memory."""
    todo = [u for u in plan("studio", 12, 3) if u.level in ("HI", "XX")]
    return {u: synthesise(u, "studio", seed=7) / 32768 for u in todo}


def digests(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def f0(sound: Sound) -> float:
    """Median pitch in Hz of the voiced frames: the peak of the autocorrelation between 60 and 500 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 800)[::320]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames * np.hanning(800), 2048)) ** 2
    correlation = np.fft.irfft(power)[:, : RATE // 60]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(800), 2048)) ** 2)[: RATE // 60]
    correlation = correlation / (window / window[0]) / correlation[:, :1]
    lags = correlation[:, RATE // 500 :].argmax(axis=1) + RATE // 500
    voiced = correlation[np.arange(len(lags)), lags] > 0.6
    voiced &= (frames**2).mean(axis=1) > 0.1 * (frames**2).mean()
    return float(np.median(RATE / lags[voiced]))


def balance(sound: Sound) -> float:
    """Level of 1 to 5 kHz against that under 1 kHz in dB: the spectrum's tilt."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    high, low = power[(hertz >= 1000) & (hertz < 5000)], power[(hertz >= 50) & (hertz < 1000)]
    return float(10 * np.log10(high.sum() / low.sum()))


def pooled(sound: Sound) -> Sound:
    """Mean and standard deviation over time of 40 logarithmic bands."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = np.geomspace(80, 7600, 41) / RATE * 512
    bands = [power[:, int(a) : max(int(b), int(a) + 1)].mean(axis=1) for a, b in pairwise(edges)]
    log = np.log(np.stack(bands, axis=1) + 1e-8)
    return np.concatenate([log.mean(axis=0), log.std(axis=0)])


def mean(sounds: dict[Utterance, Sound], emotion: str, measure: Callable[[Sound], float]) -> float:
    return float(np.mean([measure(s) for u, s in sounds.items() if u.emotion == emotion]))


def test_layout_is_that_of_the_release(tmp_path: Path) -> None:
    count = make_corpus(tmp_path, seed=3, speakers=2, sentences=2)
    names = {p.stem for p in (tmp_path / "AudioWAV").iterdir()}
    assert count == len(names) == 2 * (1 + 5 * 3 + 6)  # the first sentence has three levels, but not of neutral
    assert {"1001_IEO_ANG_LO", "1001_IEO_ANG_HI", "1001_IEO_NEU_XX", "1002_TIE_SAD_XX"} <= names
    with (tmp_path / "SentenceFilenames.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert [int(row["Stimulus_Number"]) for row in listed] == list(range(1, count + 1))
    assert {row["Filename"] for row in listed} == names
    with (tmp_path / "VideoDemographics.csv").open() as file:
        people = list(csv.DictReader(file))
    assert list(people[0]) == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert [(row["ActorID"], row["Sex"]) for row in people] == [("1001", "Male"), ("1002", "Female")]
    assert not (tmp_path / "processedResults").exists()  # nobody has listened, so there are no votes


def test_everything_says_that_it_is_synthetic(tmp_path: Path) -> None:
    make_corpus(tmp_path, seed=3, speakers=1, sentences=1)
    notice = (tmp_path / MARKER).read_text()
    assert "no recording of a person" in notice
    assert "actors do not exist" in " ".join(notice.split())
    with soundfile.SoundFile(next((tmp_path / "AudioWAV").iterdir())) as file:
        assert (file.samplerate, file.channels, file.subtype) == (16_000, 1, "PCM_16")
        assert "no recording of a person" in file.comment


def test_ser_reads_it_as_cremad_and_stamps_it(tmp_path: Path) -> None:
    make_corpus(tmp_path, seed=3, speakers=2, sentences=1)
    table = parse_corpus("cremad", tmp_path)
    assert table.facts["synthetic"] is True
    assert len(table.frame) == 2 * 16
    assert set(table.frame["gender"]) == {"male", "female"}
    assert set(table.frame["emotion"]) == {"anger", "disgust", "fear", "happiness", "neutral", "sadness"}
    (tmp_path / MARKER).unlink()
    assert parse_corpus("cremad", tmp_path).facts["synthetic"] is False


def test_an_utterance_is_the_same_whatever_is_beside_it(tmp_path: Path) -> None:
    make_corpus(tmp_path / "small", seed=5, speakers=1, sentences=1, emotions=("SAD", "ANG"))
    make_corpus(tmp_path / "large", seed=5, speakers=3, sentences=2)
    make_corpus(tmp_path / "other", seed=6, speakers=1, sentences=1)
    small, large, other = (digests(tmp_path / name) for name in ("small", "large", "other"))
    wavs = [name for name in small if name.endswith(".wav")]
    assert len(wavs) == 6
    assert all(small[name] == large[name] for name in wavs)
    assert not any(small[name] == other[name] for name in wavs)
    assert len(set(large.values())) == len(large)


def test_again_into_the_same_folder_leaves_nothing_of_before(tmp_path: Path) -> None:
    make_corpus(tmp_path / "a", seed=5, speakers=2, sentences=1)
    make_corpus(tmp_path / "a", seed=5, speakers=1, sentences=1)
    make_corpus(tmp_path / "b", seed=5, speakers=1, sentences=1)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_real_corpus_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "AudioWAV").mkdir()
    (tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav").write_bytes(b"a recording")
    with pytest.raises(CorpusError, match="may be a real corpus"):
        make_corpus(tmp_path, seed=1, speakers=1, sentences=1)
    assert (tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav").read_bytes() == b"a recording"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stadium", 2, 2), "studio"),
        (("studio", 0, 2), "1 to 41 speakers"),
        (("studio", 2, 13), "1 to 12 sentences"),
        (("studio", 2, 2, ("ANG", "JOY")), "JOY"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(*arguments)  # type: ignore[arg-type]


def test_every_word_is_made_of_known_phones() -> None:
    spoken = {word.rstrip("1") for words in SENTENCES.values() for word in words.split()}
    assert spoken <= set(PHONES)
    assert all("1" in words for words in SENTENCES.values())


def test_pulses_come_at_the_pitch_asked_for() -> None:
    steady = np.full(250, 125.0)
    pulse, opening = glottal(steady, EVEN, np.random.default_rng(0))
    assert len(pulse) == len(opening) == RATE
    assert f0(pulse) == pytest.approx(125, rel=0.02)
    assert opening.min() == 0
    assert opening.max() == pytest.approx(1, abs=0.01)


def test_tempo_stretches_a_sentence() -> None:
    slow, even = (tracks("IWL", tempo, np.random.default_rng(0)) for tempo in (1.5, 1.0))
    pauses = 45  # frames of silence before and after, which do not stretch
    assert (len(slow.voicing) - pauses) / (len(even.voicing) - pauses) == pytest.approx(1.5, rel=0.05)


def test_all_is_finite_and_neither_silent_nor_clipped(sounds: dict[Utterance, Sound]) -> None:
    for sound in sounds.values():
        assert np.isfinite(sound).all()
        assert 0.7 * RATE < len(sound) < 3.2 * RATE
        assert np.sqrt(np.mean(sound**2)) > 1e-3
        assert np.abs(sound).max() < 0.99


def test_measured_pitch_is_the_speakers(sounds: dict[Utterance, Sound]) -> None:
    for actor in range(1001, 1013):
        measured = [f0(s) for u, s in sounds.items() if u.actor == actor and u.emotion == "NEU"]
        voice = speaker(7, actor, ACCENTS["studio"])
        assert abs(12 * np.log2(np.median(measured) / voice.f0)) < 4  # semitones: accents and chance move it
    by_sex = [np.mean([f0(s) for u, s in sounds.items() if u.actor % 2 == sex]) for sex in (1, 0)]
    assert by_sex[1] > 1.4 * by_sex[0]


def test_emotions_differ_as_the_literature_says(sounds: dict[Utterance, Sound]) -> None:
    pitch = {e: mean(sounds, e, f0) for e in EMOTIONS}
    assert min(pitch["FEA"], pitch["HAP"], pitch["ANG"]) > 1.08 * pitch["NEU"]
    assert pitch["SAD"] < pitch["NEU"]
    seconds = {e: mean(sounds, e, len) / RATE for e in EMOTIONS}
    assert max(seconds["ANG"], seconds["FEA"]) < seconds["NEU"] < min(seconds["SAD"], seconds["DIS"])
    tilt = {e: mean(sounds, e, balance) for e in EMOTIONS}
    assert tilt["SAD"] + 1 < tilt["NEU"] < tilt["ANG"] - 1
    level = {e: mean(sounds, e, lambda s: 10 * np.log10(np.mean(s**2))) for e in EMOTIONS}
    assert level["SAD"] + 2 < level["NEU"] < level["ANG"] - 3


def test_emotions_are_found_in_unheard_speakers_often_but_not_always(sounds: dict[Utterance, Sound]) -> None:
    features = np.stack([pooled(s) for s in sounds.values()])
    emotions = np.array([u.emotion for u in sounds])
    speakers = np.array([u.actor for u in sounds])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=500))
    apart = cross_val_predict(model, features, emotions, groups=speakers, cv=LeaveOneGroupOut())
    mixed = cross_val_predict(model, features, emotions, cv=StratifiedKFold(10, shuffle=True, random_state=0))
    uar = recall_score(emotions, apart, average="macro")
    assert 0.5 < uar < 0.9  # chance: 0.17
    assert recall_score(emotions, mixed, average="macro") > uar  # speakers shared with training make it easier


def test_accents_differ_in_who_speaks_and_where() -> None:
    studio, room = ([synthesise(u, a, 7) / 32768 for u in plan(a, 2, 1) if u.emotion == "NEU"] for a in ("studio", "room"))
    quiet, loud = (np.mean([np.sqrt(np.mean(s[-600:] ** 2)) for s in group]) for group in (studio, room))
    assert loud > quiet  # the room goes on sounding
    actors = [{u.actor for u in plan(a, 41, 1)} for a in ("studio", "room")]
    assert all(not a & b for a, b in product(actors, actors) if a is not b)
