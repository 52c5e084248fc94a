"""log-mel, MFCC and openSMILE against derivations of their own."""

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from ser.audio import reading as decoding
from ser.errors import AudioError, EncoderError
from ser.extract import encoder as base
from ser.extract.encoder import Encoder
from ser.extract.encoders import _opensmile
from ser.extract.options import EncoderOptions

DATA = Path(__file__).parents[3] / "../shared/data"


def load(name: str, level: str | None = None) -> Encoder:
    return base.load(name, "audio", EncoderOptions(level=level))


def voice(seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * (120 * time + 20 * time**2)
    tones = sum(np.sin(k * pitch) / k for k in range(1, 12))
    noise = np.random.default_rng(3).normal(0, 0.005, len(time))
    return (0.1 * tones * (0.6 + 0.4 * np.sin(9 * time)) + noise).astype(np.float32)


def slaney_bank(rate: int, size: int, bands: int) -> np.ndarray:
    """Mel filters `(bands, 1 + size // 2)` from their definition: linear below 1 kHz, logarithmic above, area 1."""

    def mel(hz: np.ndarray) -> np.ndarray:
        return np.where(hz < 1000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4))

    def hz(mels: np.ndarray) -> np.ndarray:
        return np.where(mels < 15, 200 * mels / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))

    edges = hz(np.linspace(0, mel(np.array(rate / 2.0)), bands + 2))
    bins = np.arange(1 + size // 2) * rate / size
    bank = np.zeros((bands, len(bins)))
    for band in range(bands):
        low, middle, high = edges[band : band + 3]
        bank[band] = np.clip(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0, None)
        bank[band] *= 2 / (high - low)
    return bank


def mel_energies(audio: np.ndarray, rate: int, window: int, hop: int, bands: int) -> np.ndarray:
    """`(frames, bands)`, frame by frame."""
    padded = np.pad(audio.astype(float), window // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(padded) - window + 1, hop)
    power = np.stack([np.abs(np.fft.rfft(padded[s : s + window] * hann)) ** 2 for s in starts])
    return power @ slaney_bank(rate, window, bands).T


def test_logmel_against_numpy() -> None:
    audio = voice(0.7, 16000)
    expected = np.log(np.maximum(mel_energies(audio, 16000, 400, 160, 64), 1e-10))
    frames = load("logmel").encode([audio])[0]
    assert frames.shape == (1 + len(audio) // 160, 64)
    np.testing.assert_allclose(frames, (expected - expected.mean()) / expected.std(), atol=2e-4)
    assert abs(frames.mean()) < 1e-5
    assert frames.std() == pytest.approx(1, abs=1e-5)
    pooled = load("logmel", "utterance").encode([audio])[0]
    np.testing.assert_allclose(pooled, np.concatenate([expected.mean(axis=0), expected.std(axis=0)]), atol=1e-3)


def test_logmel_does_not_depend_on_the_level_of_the_recording() -> None:
    audio = voice(0.5, 16000)
    loud, soft = load("logmel").encode([audio, audio / 4])
    np.testing.assert_allclose(loud, soft, atol=1e-3)


def test_mfcc_against_numpy() -> None:
    audio = voice(0.7, 22050)
    energies = mel_energies(audio, 22050, 2048, 512, 128)
    decibels = 10 * np.log10(np.maximum(energies, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    expected = scipy.fft.dct(decibels, axis=1, type=2, norm="ortho")[:, :39]
    frames = load("mfcc").encode([audio])[0]
    np.testing.assert_allclose(frames, expected, atol=2e-2, rtol=1e-4)
    pooled = load("mfcc", "utterance").encode([audio])[0]
    np.testing.assert_allclose(pooled, np.concatenate([frames.mean(axis=0), frames.std(axis=0)]), atol=1e-3)


def test_spectral_encoders_warn_of_nothing_on_short_audio() -> None:
    for name in ("logmel", "mfcc"):
        encoder = load(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(encoder.encode([voice(1, encoder.sample_rate)[: encoder.minimum]])[0]) >= 1


def test_silence_has_no_log_mel_spectrum() -> None:
    with pytest.raises(AudioError, match="silent"):
        load("logmel").encode([np.zeros(1600, np.float32)])


def test_egemaps_is_opensmile() -> None:
    opensmile = pytest.importorskip("opensmile")
    audio = voice(0.8, 16000)
    for level, kind in [("utterance", "Functionals"), ("frame", "LowLevelDescriptors")]:
        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel[kind])
        expected = smile(audio, 16000)  # (channels, features, frames)
        features = load("egemaps", level).encode([audio])[0]
        np.testing.assert_array_equal(np.atleast_2d(features), expected[0].T)
    assert load("egemaps").dim == 88
    assert load("egemaps", "frame").dim == 25
    assert load("compare").dim == 6373


def test_egemaps_hears_the_pitch() -> None:
    opensmile = pytest.importorskip("opensmile")
    names = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02).feature_names
    time = np.arange(16000) / 16000
    tone = sum(np.sin(2 * np.pi * 200 * k * time) / k for k in range(1, 15)).astype(np.float32) * 0.1
    semitones = load("egemaps").encode([tone])[0][names.index("F0semitoneFrom27.5Hz_sma3nz_amean")]
    assert semitones == pytest.approx(12 * np.log2(200 / 27.5), abs=0.1)


def test_signal_features_are_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    names = ["logmel", "mfcc", "egemaps"]
    audio = voice(0.6, 22050)
    np.save(tmp_path / "audio.npy", audio)
    code = (
        "import hashlib, sys, numpy as np; from ser.extract.encoder import load\n"
        "from ser.extract.options import EncoderOptions\n"
        "audio = np.load(sys.argv[1])\n"
        "for n in sys.argv[2:]:\n"
        "    features = load(n, 'audio', EncoderOptions()).encode([audio])[0]\n"
        "    print(hashlib.sha256(features.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "audio.npy"), *names]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    here = [load(name).encode([audio])[0] for name in names]
    assert there == [hashlib.sha256(features.tobytes()).hexdigest() for features in here]
    assert len(set(there)) == 3


def test_features_that_are_not_finite_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opensmile")
    import pandas as pd

    class Broken:
        feature_names = ("loudness", "jitter")

        def process_signal(self, audio: np.ndarray, rate: int) -> pd.DataFrame:
            return pd.DataFrame([[1.0, np.nan]], columns=self.feature_names)

    monkeypatch.setattr(_opensmile, "extractor", lambda *_: Broken())
    with pytest.raises(AudioError, match=r"not finite.*jitter"):
        load("egemaps").encode([voice(0.5, 16000)])


@pytest.mark.parametrize("name", ["egemaps", "compare"])
def test_without_opensmile(monkeypatch: pytest.MonkeyPatch, name: str) -> None:

    monkeypatch.setattr("ser.optional.find_spec", lambda _: None)
    with pytest.raises(EncoderError, match=r"pip install 'ser\[egemaps\]'.*research and private use"):
        load(name)


@pytest.mark.skipif(not (DATA / "emodb/wav").is_dir(), reason="the real corpora (../shared/data) are not here")
def test_real_speech() -> None:
    opensmile = pytest.importorskip("opensmile")
    names = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02).feature_names
    clips = [DATA / "emodb/wav" / f"{clip}.wav" for clip in ("03a01Fa", "08a02Tb")]  # a man happy, a woman sad
    clips.append(next((DATA / "ravdess/Actor_01").glob("03-01-05-*.wav")))
    encoder = load("egemaps")
    for clip in clips:
        audio = decoding.load(clip, 16000)
        values = dict(zip(names, encoder.encode([audio])[0], strict=True))
        pitch = 27.5 * 2 ** (values["F0semitoneFrom27.5Hz_sma3nz_amean"] / 12)
        assert 80 < pitch < 450
        assert 300 < values["F1frequency_sma3nz_amean"] < 1000
        assert -60 < values["equivalentSoundLevel_dBp"] < 0
        frames = load("logmel").encode([audio])[0]
        assert len(frames) == 1 + len(audio) // 160
        spoken = frames.mean(axis=1) > 0  # speech is louder than pauses, and there are both
        assert 0.2 < spoken.mean() < 0.9


@pytest.mark.parametrize("name", ["logmel", "mfcc"])
def test_without_librosa_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.optional.find_spec", lambda _: None)
    with pytest.raises(EncoderError, match=r"librosa is not installed. Install it: pip install 'ser\[spectral\]'"):
        load(name)
