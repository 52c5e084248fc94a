"""Measurements of an utterance: its faults as words, and a fingerprint that survives what it should."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from ser.audio import decoding, files
from ser.audio.files import FAULTS
from ser.audio.measure import fingerprint, measure
from ser.audit.near_copies import LIMIT, error_rate

RATE = 16000


def babble(seed: int, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """Tones that come and go over a little noise, as formants do."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    knots = np.linspace(0, seconds, max(2, round(6 * seconds)))
    parts = [
        np.interp(time, knots, rng.uniform(0, 1, len(knots))) * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6))
        for hz in rng.uniform(250, 2500, 12)
    ]
    return np.asarray(0.05 * np.sum(parts, axis=0) + 0.005 * rng.normal(size=len(time)), dtype=np.float32)


def measured(path: Path, **segment: float) -> str:
    return measure(path, segment.get("start"), segment.get("end"), segment.get("channel")).fault


def _forbidden(path: Path) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_every_fault_has_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tmp_path / "good.wav"
    soundfile.write(good, babble(0), RATE)
    made = {
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 66044\n",
        "web-page": b"<!DOCTYPE html><html><body>Log in</body></html>",
        "empty": b"",
        "truncated": good.read_bytes()[:20000],
        "undecodable": b"RIFF and no more",
    }
    found = {"missing": measured(tmp_path / "none.wav")}
    for name, content in made.items():
        file = tmp_path / f"{name}.wav"
        file.write_bytes(content)
        found[name] = measured(file)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan, 0.1] * 500, dtype=np.float32), RATE, subtype="FLOAT")
    found["not-finite"] = measured(tmp_path / "nan.wav")
    soundfile.write(tmp_path / "long.wav", np.zeros(1801 * 100, dtype=np.int16), 100)
    found["too-long"] = measured(tmp_path / "long.wav")
    soundfile.write(tmp_path / "scale.wav", babble(1) * 2**15, RATE, subtype="FLOAT")
    found["scale"] = measured(tmp_path / "scale.wav")
    soundfile.write(tmp_path / "phase.wav", np.stack([babble(1), -babble(1)], axis=1), RATE)
    found["cancelling"] = measured(tmp_path / "phase.wav")
    found["irregular"] = measured(tmp_path)
    monkeypatch.setattr(decoding.shutil, "which", lambda _: None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    found["needs-ffmpeg"] = measured(tmp_path / "a.mp4")
    monkeypatch.setattr(files, "open_regular", _forbidden)
    found["unreadable"] = measured(good)
    monkeypatch.undo()
    found["segment"] = measured(good, start=1.0, end=9.0)
    found["channel"] = measured(good, channel=3)
    assert found == {name: name for name in found}
    assert set(FAULTS) == set(found)
    assert measured(good) == ""


def test_a_container_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0" * 600)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert measured(tmp_path / "a.mp4") == "needs-ffmpeg"


def test_facts_of_a_recording(tmp_path: Path) -> None:
    sound = np.clip(3 * babble(1), -0.5, 0.5)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "a.flac", np.round(sound * 2**15).astype(np.int16), RATE)
    soundfile.write(tmp_path / "b.wav", np.round(sound * 2**15).astype(np.int16), RATE)
    found = measure(tmp_path / "a.wav", None, None, None)
    assert (found.fault, found.seconds, found.rate) == ("", 2.0, RATE)
    assert found.peak == pytest.approx(0.5)
    assert found.clipped == 0  # flat, but not at full scale
    flac, wav = (measure(tmp_path / name, None, None, None) for name in ("a.flac", "b.wav"))
    assert flac.sha256 == wav.sha256 != found.sha256  # of the samples, whatever they lie in
    assert measure(tmp_path / "b.wav", 0.0, 1.0, float("nan")).seconds == 1.0
    assert measure(tmp_path / "b.wav", 0.0, 1.0, None).sha256 != wav.sha256


CHANGES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, int]]] = {
    "gain": lambda a: (0.1 * a, RATE),
    "resampled": lambda a: (soxr.resample(a, RATE, 44100), 44100),
    "telephone": lambda a: (soxr.resample(a, RATE, 8000), 8000),
    "cut by whole hops": lambda a: (a[3200:], RATE),
    "cut by half a hop": lambda a: (a[3360:-1000], RATE),
    "8 bits": lambda a: (np.round(a * 127).astype(np.float32) / 127, RATE),
    "noise": lambda a: (a + np.random.default_rng(9).normal(size=len(a)) * a.std() * 0.1, RATE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprints_of_one_recording_differ_in_few_bits_those_of_two_in_half(change: str) -> None:
    sound = babble(2)
    other = fingerprint(*CHANGES[change](sound))
    one, stranger = fingerprint(sound, RATE), fingerprint(babble(3), RATE)

    def closest(a: np.ndarray, b: np.ndarray) -> float:
        return min(error_rate(a, b, distance) for distance in range(-len(a), len(b)))

    assert closest(one, other) <= LIMIT
    assert closest(stranger, other) > 1.5 * LIMIT


def test_pauses_have_no_words_and_short_recordings_few() -> None:
    sound = np.concatenate([babble(4, 1.0), np.zeros(2 * RATE, dtype=np.float32)])
    words = fingerprint(sound, RATE)
    assert np.count_nonzero(words[:40]) == 40
    assert not words[70:].any()
    assert len(fingerprint(np.zeros(0, np.float32), RATE)) == 0
    assert len(fingerprint(babble(5, 0.05), RATE)) == 0
    assert not fingerprint(np.zeros(RATE, np.float32), RATE).any()
