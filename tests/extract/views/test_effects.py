"""The effect of augmentation on audio, measured by other means than it was made."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ser.errors import AudioError, ConfigError
from ser.extract.views import effects
from ser.extract.views.recordings import open_folder

RATE = 16000


def tone(hertz: float, seconds: float = 2.0) -> NDArray[np.float32]:
    time = np.arange(int(seconds * RATE)) / RATE
    return np.asarray(sum(0.2 / k * np.sin(2 * np.pi * hertz * k * time) for k in (1, 2, 3)), np.float32)


def f0(audio: NDArray[np.float32]) -> float:
    """Fundamental of a sound of 130 to 250 Hz: the peak of its autocorrelation, refined by a parabola."""
    middle = audio[len(audio) // 4 : -len(audio) // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle, 2 * len(middle))) ** 2
    r = np.fft.irfft(spectrum)[: RATE // 130] / np.arange(len(middle), len(middle) - RATE // 130, -1)
    low = RATE // 250
    peak = low + int(r[low:-1].argmax())
    a, b, c = r[peak - 1 : peak + 2]
    return float(RATE / (peak + 0.5 * (a - c) / (a - 2 * b + c)))


@pytest.mark.parametrize("factor", [0.9, 0.95, 1.05, 1.1])
def test_speed_changes_length_and_pitch_together(factor: float) -> None:
    faster = effects.speed(tone(200), RATE, factor)
    assert len(faster) == pytest.approx(2 * RATE / factor, abs=2)
    assert f0(faster) == pytest.approx(200 * factor, rel=2e-3)


@pytest.mark.parametrize("semitones", [-3.0, -0.5, 2.0, 3.0])
def test_pitch_changes_the_pitch_alone(semitones: float) -> None:
    higher = effects.pitch(tone(200), RATE, semitones)
    assert len(higher) == 2 * RATE
    assert f0(higher) == pytest.approx(200 * 2 ** (semitones / 12), rel=5e-3)
    assert np.sqrt(np.mean(higher**2)) == pytest.approx(np.sqrt(np.mean(tone(200) ** 2)), rel=0.1)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_tempo_changes_the_length_alone(factor: float) -> None:
    faster = effects.tempo(tone(200), RATE, factor)
    assert len(faster) == pytest.approx(2 * RATE / factor, rel=0.01)
    assert f0(faster) == pytest.approx(200, rel=5e-3)


def power(audio: NDArray[np.float32], low: float, high: float) -> float:
    frequency = np.fft.rfftfreq(len(audio), 1 / RATE)
    return float((np.abs(np.fft.rfft(audio))[(frequency >= low) & (frequency < high)] ** 2).sum())


def lag(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """The shift of `b` against `a` at which they are most alike."""
    return int(max(range(-200, 201), key=lambda k: float(np.dot(a[500:-500], b[500 + k : len(b) - 500 + k]))))


def test_clipping_cuts_a_share_of_the_samples_and_no_others() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    cut = effects.clip(noise, 10)
    assert (cut != noise).mean() == pytest.approx(0.1, abs=1e-3)
    assert np.abs(cut).max() == pytest.approx(np.quantile(np.abs(noise), 0.9), rel=1e-4)


@pytest.mark.parametrize("hertz", [1000, 3400])
def test_lowpass_takes_away_what_lies_above(hertz: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    narrow = effects.lowpass(noise, RATE, hertz)
    assert len(narrow) == len(noise)
    assert power(narrow, 1.05 * hertz, RATE) < 1e-4 * power(noise, 1.05 * hertz, RATE)
    assert power(narrow, 0, 0.85 * hertz) == pytest.approx(power(noise, 0, 0.85 * hertz), rel=0.01)
    assert effects.lowpass(noise, RATE, RATE / 2) is noise


@pytest.mark.parametrize("rate", [16000, 44100])
def test_codecs_keep_length_place_and_level_and_lose_quality(rate: int) -> None:
    time = np.arange(2 * rate) / rate
    sweep = (0.3 * np.sin(2 * np.pi * (200 + 400 * time) * time)).astype(np.float32)
    for coded in (effects.gsm(sweep, rate), effects.opus(sweep, rate, 16)):
        assert len(coded) == len(sweep)
        assert lag(sweep, coded) == 0
        assert np.sqrt(np.mean(coded**2)) == pytest.approx(np.sqrt(np.mean(sweep**2)), rel=0.15)
        assert 1e-3 < np.sqrt(np.mean((coded - sweep) ** 2) / np.mean(sweep**2)) < 0.5
    worse, better = (np.mean((effects.opus(sweep, rate, k) - sweep) ** 2) for k in (8, 64))
    assert better < worse
    loud = effects.gsm(4 * sweep, rate)
    assert np.abs(loud).max() > 1  # scaled for the codec and back, not clipped


def test_stretching_is_the_same_each_time_and_of_short_audio_too() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 9000).astype(np.float32)
    for length in (400, 9000):
        np.testing.assert_array_equal(effects.pitch(noise[:length], RATE, 2), effects.pitch(noise[:length].copy(), RATE, 2))
    np.testing.assert_array_equal(effects.tempo(noise, RATE, 0.8), effects.tempo(noise, RATE, 0.8))


@pytest.mark.parametrize("snr", [-5.0, 10.0, 15.0, 20.0])
def test_noise_is_added_at_its_ratio_to_the_signal(snr: float) -> None:
    clean = tone(200)
    noisy = effects.add(clean, 3.0 + 7 * effects.white(len(clean), np.random.default_rng(1)), snr)
    added = noisy.astype(np.float64) - clean
    assert 20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(added)) == pytest.approx(snr, abs=0.01)
    assert abs(added.mean()) < 1e-6


def test_pink_noise_falls_with_three_decibels_an_octave() -> None:
    noise = effects.pink(2**18, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [2**k for k in range(6, 17)]
    mean = [10 * np.log10(power[o : 2 * o].mean()) for o in octaves]
    assert np.polyfit(range(len(octaves)), mean, 1)[0] == pytest.approx(-3.01, abs=0.15)


def test_gain_is_in_decibels() -> None:
    np.testing.assert_allclose(effects.gain(tone(200), -6), tone(200) * 0.501187, rtol=1e-5, atol=1e-8)


def test_a_room_fades_by_sixty_decibels_in_its_time() -> None:
    for rt60 in (0.25, 0.45):
        response = effects.room_response(rt60, [6, 5, 3], np.array([2, 2, 1.5]), np.array([4, 3, 1.2]), RATE)
        left = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))  # Schroeder 1965
        time = np.arange(len(left)) / RATE
        between = (left < -5) & (left > -25)
        slope = np.polyfit(time[between], left[between], 1)[0]
        assert -60 / slope == pytest.approx(rt60, rel=0.3)


def test_rooms_differ_and_are_the_same_again() -> None:
    first = effects.room_impulse(0, 3, 8000)
    effects.room_impulse.cache_clear()
    np.testing.assert_array_equal(first, effects.room_impulse(0, 3, 8000))
    assert not np.array_equal(first[:500], effects.room_impulse(0, 4, 8000)[:500])
    assert not np.array_equal(first[:500], effects.room_impulse(1, 3, 8000)[:500])


def test_reverberation_keeps_place_length_and_power() -> None:
    click = np.zeros(4000, np.float32)
    click[1000] = 0.5
    impulse = np.zeros(600)
    impulse[[50, 250]] = 0.8, 0.4
    wet = effects.reverberate(click, impulse)
    assert np.flatnonzero(np.abs(wet) > 1e-6).tolist() == [1000, 1200]
    assert wet[1200] / wet[1000] == pytest.approx(0.5)
    assert np.mean(wet**2) == pytest.approx(np.mean(click**2))


def test_a_folder_of_recordings_is_known_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "noise" / "deep").mkdir(parents=True)
    for k, name in enumerate(("b.wav", "deep/a.flac")):
        noise = np.random.default_rng(k).normal(0, 0.1, 16000 * (1 + k))
        soundfile.write(tmp_path / "noise" / name, noise, RATE)
    folder = open_folder(tmp_path / "noise", "--noise-folder")
    assert folder.files == ("b.wav", "deep/a.flac")
    assert folder.seconds == (1.0, 2.0)
    moved = (tmp_path / "noise").rename(tmp_path / "moved")
    assert open_folder(moved, "--noise-folder").sha256 == folder.sha256
    soundfile.write(moved / "b.wav", np.random.default_rng(5).normal(0, 0.1, 16000), RATE)
    assert open_folder(moved, "--noise-folder").sha256 != folder.sha256


def test_a_piece_of_noise_is_one_of_the_recording(tmp_path: Path) -> None:
    long = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    long[: RATE + 4000] = 0  # silent: not taken
    soundfile.write(tmp_path / "long.wav", long, RATE, subtype="FLOAT")
    folder = open_folder(tmp_path, "--noise-folder")
    starts = set()
    for seed in range(8):
        piece = folder.noise(4000, RATE, np.random.default_rng(seed))
        assert len(piece) == 4000
        assert piece.var() > 0
        place = int(np.abs(long - piece[-1].astype(np.float32)).argmin())
        np.testing.assert_array_equal(long[place - 3990 : place + 1], piece[-3991:].astype(np.float32))
        starts.add(place)
    assert len(starts) == 8
    assert len(folder.noise(4 * RATE, RATE, np.random.default_rng(0))) == 4 * RATE  # repeated


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        open_folder(tmp_path / "none", "--noise-folder")
    with pytest.raises(ConfigError, match="there are no recordings"):
        open_folder(tmp_path, "--impulses")
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(ConfigError, match="is empty"):
        open_folder(tmp_path, "--impulses")
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), RATE)
    folder = open_folder(tmp_path, "--impulses")
    with pytest.raises(AudioError, match="are silent"):
        folder.noise(100, RATE, np.random.default_rng(0))
    with pytest.raises(AudioError, match="is silent"):
        folder.impulse(RATE, np.random.default_rng(0))
