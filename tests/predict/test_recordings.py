"""Recordings in every form: whatever is given ends in finite samples or in one `AudioError`."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.errors import AudioError
from ser.predict.recordings import Recording, as_recordings

RATE = 8000
TONE = 0.3 * np.sin(np.arange(800) / 5)


def wav(subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE, RATE, format="WAV", subtype=subtype)
    return file.getvalue()


def decoded(value: Any) -> None:
    try:
        samples, rate, _ = Recording("x", value).decode()
    except AudioError:
        return
    assert samples.ndim == 1
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert len(samples)
    assert rate > 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["PCM_16", "FLOAT", "ULAW"]), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 255))))
def test_changed_wav_files(subtype: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(wav(subtype))
    for k, (_, value) in enumerate(changes):
        content[(k * 7919) % 64] = value  # the header
    decoded(bytes(content))


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind(content: bytes) -> None:
    decoded(content)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(width=32), max_size=40),
    st.sampled_from(["f4", "f8", "f2", "i2", "u1", "i8", "u8", "c8", "?", "O"]),
    st.sampled_from([(-1,), (-1, 1), (1, -1), (2, -1), (-1, 2), (1, 1, -1)]),
    st.one_of(st.floats(), st.integers()),
)
def test_samples_of_any_kind(values: list[float], kind: str, shape: tuple[int, ...], rate: float) -> None:
    data = np.zeros(len(values), dtype=kind)
    with np.errstate(all="ignore"):
        data[:] = np.nan_to_num(values, posinf=9, neginf=-9) if kind[0] in "iu" else values
    try:
        data = data.reshape(shape)
    except ValueError:
        return
    decoded((data, rate))


@pytest.mark.parametrize("kind", ["i2", "i4", "u1", "f4", "f8"])
def test_integers_are_brought_to_full_scale(kind: str) -> None:
    data: Any = TONE
    if kind == "u1":
        data = np.round(128 + 128 * TONE).astype(kind)
    elif kind[0] == "i":
        data = np.round(TONE * 2 ** (8 * int(kind[1]) - 1)).astype(kind)
    samples, rate, _ = Recording("x", (data.astype(kind), RATE)).decode()
    assert rate == RATE
    np.testing.assert_allclose(samples, TONE, atol=0.004 if kind == "u1" else 2e-5)


def test_a_pair_is_one_recording_and_a_list_of_pairs_several() -> None:
    assert [r.name for r in as_recordings((TONE, RATE))] == ["samples 1"]
    assert [r.name for r in as_recordings([(TONE, RATE), [TONE, np.float64(RATE)], "a.wav"])] == [
        "samples 1",
        "samples 2",
        "a.wav",
    ]
