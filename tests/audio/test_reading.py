"""Decoding, and each way in which a file can be unfit."""

import hashlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio import decoding
from ser.audio import reading as audio
from ser.errors import AudioError

RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def written(path: Path, data: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, data, rate, subtype=subtype)
    return path


def refused(path: Path, *words: str, **segment: float) -> None:
    """Loading fails, in one line that has the path and the words."""
    with pytest.raises(AudioError) as caught:
        audio.load(path, RATE, **segment)
    line = caught.value.line()
    assert "\n" not in line
    for word in (str(path), *words):
        assert word in line


@pytest.mark.parametrize(
    ("suffix", "subtype", "error"), [("wav", "PCM_16", 3.1e-5), ("flac", "PCM_16", 3.1e-5), ("aiff", "PCM_24", 1e-6)]
)
def test_lossless_formats_come_back(tmp_path: Path, suffix: str, subtype: str, error: float) -> None:
    loaded = audio.load(written(tmp_path / f"a.{suffix}", tone(), subtype=subtype), RATE)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, tone(), atol=error)


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"), ("opus", "OPUS")])
def test_lossy_formats_sound_alike(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    try:
        soundfile.write(path, tone(2), RATE, format="OGG" if suffix == "opus" else None, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError) as error:
        pytest.skip(f"this libsndfile does not write {suffix}: {error}")
    loaded = audio.load(path, RATE)
    spectrum = np.abs(np.fft.rfft(loaded[:RATE]))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def test_resampling_keeps_the_tone_and_removes_what_lies_above(tmp_path: Path) -> None:
    both = tone(1, 48000, 440) + 0.5 * tone(1, 48000, 15000)
    loaded = audio.load(written(tmp_path / "a.wav", both, 48000), RATE)
    assert len(loaded) == RATE
    inner = slice(800, -800)
    np.testing.assert_allclose(loaded[inner], tone(1)[inner], atol=2e-4)


def test_channels_are_averaged_or_chosen(tmp_path: Path) -> None:
    left, right = tone(), tone(hz=220)
    path = written(tmp_path / "a.wav", np.stack([left, right], axis=1))
    np.testing.assert_allclose(audio.load(path, RATE), (left + right) / 2, atol=1e-7)
    np.testing.assert_array_equal(audio.load(path, RATE, channel=1), right)
    np.testing.assert_array_equal(audio.load(path, RATE, channel=0.0), left)
    refused(path, "no channel 2", "0 to 1", channel=2)
    refused(written(tmp_path / "b.wav", left), "no channel 1", "mono", channel=1)


def test_segments_are_the_samples_between_the_times(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(1))
    np.testing.assert_array_equal(audio.load(path, RATE, start=0.25, end=0.5), tone(1)[4000:8000])
    np.testing.assert_array_equal(audio.load(path, RATE, start=0.25), tone(1)[4000:])
    np.testing.assert_array_equal(audio.load(path, RATE, start=float("nan"), end=float("nan")), tone(1))
    # Rounded time stamps may lie a little behind the end.
    np.testing.assert_array_equal(audio.load(path, RATE, start=0.5, end=1.02), tone(1)[8000:])


@pytest.mark.parametrize("segment", [{"start": 1.0}, {"start": 0.5, "end": 1.2}, {"start": -0.1}])
def test_segments_outside_of_the_file(tmp_path: Path, segment: dict[str, float]) -> None:
    refused(written(tmp_path / "a.wav", tone(1)), "outside of", "1.000 s", **segment)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [(0.6, 0.5, "is reversed: it ends before it starts"), (7, 5, "is reversed"), (0.5, 0.5, "is empty: it ends where")],
)
def test_reversed_and_empty_segments_are_called_so(tmp_path: Path, start: float, end: float, words: str) -> None:
    path = written(tmp_path / "a.wav", tone(1))
    refused(path, f"the segment {start:g}-{end:g} s of {path} {words}", "an end after the start", start=start, end=end)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "a.wav", "is not there", "the table says")
    with pytest.raises(AudioError, match="is not there"):
        audio.file_hash(tmp_path / "a.wav")


def test_a_folder_is_no_audio(tmp_path: Path) -> None:
    refused(tmp_path, "cannot read")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.wav"
    os.mkfifo(pipe)
    refused(pipe, "a named pipe, not a regular file")
    for read in (audio.file_hash, lambda path: audio.load(path, RATE)):
        with pytest.raises(AudioError, match="a device, not a regular file"):
            read(Path("/dev/zero"))


def test_a_link_is_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone())
    (tmp_path / "link.wav").symlink_to(path)
    np.testing.assert_array_equal(audio.load(tmp_path / "link.wav", RATE), tone())
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    refused(tmp_path / "loop.wav", "cannot read")


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "GSM610"), ("a.aiff", "GSM610"), ("a.au", "G721_32"), ("b.au", "G723_24")]
)
def test_codecs_that_cannot_seek(tmp_path: Path, name: str, subtype: str) -> None:
    path = written(tmp_path / name, tone(1, 8000), 8000, subtype=subtype)
    whole, rate = audio.decode(path)
    assert (rate, abs(len(whole) - 8000) <= 320) == (8000, True)
    assert abs(int(np.abs(np.fft.rfft(whole[:8000])).argmax()) - 440) <= 1
    np.testing.assert_array_equal(audio.decode(path, start=0.5, end=0.75)[0], whole[4000:6000])


@pytest.mark.parametrize("riff", [None, 0])
def test_a_wav_whose_header_was_never_completed(tmp_path: Path, riff: int | None) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = bytes(4)
    if riff is not None:
        content[4:8] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_allclose(audio.load(path, RATE), tone(), atol=3.1e-5)
    assert decoding.header(path) == (0.5, RATE, 1)


@pytest.mark.parametrize("name", ["a.wav", "a.au"])
def test_audio_behind_the_declared_end_is_not_lost_silently(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, tone(), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at, form = (content.index(b"data") + 4, "<I") if name == "a.wav" else (8, ">I")
    struct.pack_into(form, content, at, 6000)
    path.write_bytes(content)
    refused(path, "behind the end that its header declares", "6000 bytes", "10000 more")
    with pytest.raises(AudioError, match="behind the end"):
        decoding.header(path)


def test_two_recordings_in_one_wav_are_not_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="PCM_16")
    path.write_bytes(2 * path.read_bytes())
    refused(path, "behind the end that its header declares")


@pytest.mark.parametrize(
    "tail",
    [
        b"LIST" + struct.pack("<I", 4000) + b"INFO" + bytes(3996),
        b"\0LIST" + struct.pack("<I", 4000) + b"INFO" + bytes(3996),
        b"TAG" + b"title" * 800,
        bytes(4000),
        b"\x12" * 1000,
    ],
)
def test_what_is_no_audio_may_follow_it(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="PCM_16")
    path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_allclose(audio.load(path, RATE), tone(), atol=3.1e-5)


def test_an_empty_wav_with_a_chunk_behind_is_empty(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.zeros(0, np.float32), subtype="PCM_16")
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00abcd")
    refused(path, "is empty")


@pytest.mark.parametrize(("scale", "divisor"), [(2**15, "32768"), (2**31, "2147483648")])
def test_float_samples_at_the_scale_of_integers(tmp_path: Path, scale: float, divisor: str) -> None:
    refused(written(tmp_path / "a.wav", tone() * scale), "full scale 1", f"Divide them by {divisor}")
    assert np.abs(audio.load(written(tmp_path / "b.wav", tone() * 4), RATE)).max() == pytest.approx(2, rel=1e-3)


def test_channels_of_opposite_phase(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.stack([tone(), -tone()], axis=1))
    refused(path, "cancel each other", "column channel")
    np.testing.assert_array_equal(audio.load(path, RATE, channel=0), tone())
    nearly = np.stack([tone(), -0.95 * tone()], axis=1)
    refused(written(tmp_path / "b.wav", nearly), "cancel each other")
    audio.load(written(tmp_path / "c.wav", np.stack([tone(), 0 * tone()], axis=1)), RATE)
    audio.load(written(tmp_path / "d.wav", np.zeros((800, 2), np.float32)), RATE)  # silent, which `check` refuses


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    refused(path, "is empty", "0 bytes")


def test_a_wav_without_samples(tmp_path: Path) -> None:
    refused(written(tmp_path / "a.wav", np.zeros(0, np.float32)), "is empty")


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    path = tmp_path / "1001_DFA_ANG_XX.wav"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 72808\n"
    path.write_text(pointer)
    refused(path, "Git LFS pointer", f"{len(pointer)} bytes of text", "git lfs pull")


@pytest.mark.parametrize("page", ["<!DOCTYPE html>\n<html>", "\ufeff \n<HTML lang='en'>", "<!-- saved -->\n<html>"])
def test_a_page_of_html(tmp_path: Path, page: str) -> None:
    path = tmp_path / "a.wav"
    path.write_text(page + "<body>404</body></html>")
    refused(path, "HTML", "download")


def test_what_cannot_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    refused(path, "cannot be decoded")


def test_a_wav_that_is_cut_short(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:9000])
    refused(path, "cut short", "16000 bytes")


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.aiff", "AIFF"), ("a.au", "AU"), ("a.w64", "W64"), ("a.rf64", "RF64"), ("a.wav", "WAVEX"), ("a.sph", "NIST")],
)
def test_other_formats_that_are_cut_short(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(), RATE, subtype="PCM_16", format=form)
    assert len(audio.load(path, RATE)) == len(tone())
    path.write_bytes(path.read_bytes()[:9000])
    refused(path, "cut short", "found")


def test_an_au_whose_header_was_never_completed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.au", tone(), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[8:12] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_allclose(audio.load(path, RATE), tone(), atol=3.1e-5)


@pytest.mark.parametrize(
    ("scale", "offset", "remedy"),
    [(2**15, 0, "Divide them by 32768"), (2**23, 0, "Divide them by 8388608"), (127, 128, "Subtract 128, divide by 128")],
)
def test_the_remedy_of_integers_in_a_float_file(tmp_path: Path, scale: int, offset: int, remedy: str) -> None:
    refused(written(tmp_path / "a.wav", scale * tone() + offset, subtype="FLOAT"), remedy)


def test_a_wav_written_to_a_pipe_is_no_cut_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    np.testing.assert_allclose(audio.load(path, RATE), tone(), atol=3.1e-5)


def test_a_flac_that_is_cut_short(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, RATE), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError):
        audio.load(path, RATE)


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 0.4)
    path = written(tmp_path / "a.wav", tone(0.5))
    refused(path, "too long", "start and end")
    assert len(audio.load(path, RATE, start=0.2)) == round(0.3 * RATE)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    data = tone()
    data[10] = np.nan
    data[20] = np.inf
    refused(written(tmp_path / "a.wav", data), "not finite", "2 of 8000")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(0), ["empty"]),
        (np.zeros(RATE), ["silent"]),
        (np.full(RATE, 0.2), ["silent"]),  # an offset is not sound
        (tone() * 1e-4, ["silent", "0.0001"]),
        (tone()[:399], ["receptive field", "400 samples", "25 ms", "399"]),
        (np.array([0.1, np.nan] * 400), ["not finite", "400 of 800"]),
    ],
)
def test_audio_that_no_encoder_can_use(data: np.ndarray, words: list[str]) -> None:
    with pytest.raises(AudioError) as caught:
        audio.check(data.astype(np.float32), RATE, 400, "clip 7")
    for word in ["clip 7", *words]:
        assert word in caught.value.line()


def test_quiet_audio_of_the_least_length_is_fine() -> None:
    audio.check(tone()[:400] * 1e-3, RATE, 400)


def test_clipping_is_measured_not_refused(tmp_path: Path) -> None:
    clean, loud = tone(1), np.clip(4 * tone(1), -1, 1)
    assert audio.clipped_share(clean) == 0
    assert audio.clipped_share(2 * clean) < audio.CLIPPED_SHARE  # touches full scale, has no flat tops
    expected = np.mean(np.abs(4 * tone(1)) >= 1)
    assert audio.clipped_share(loud) == pytest.approx(expected, abs=0.01)
    assert audio.clipped_share(loud) > audio.CLIPPED_SHARE
    assert len(audio.load(written(tmp_path / "a.wav", loud), RATE)) == RATE
    assert audio.clipped_share(np.zeros(0, np.float32)) == 0


def test_the_hash_of_a_source(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone())

    def source_hash(start: float | None = None, end: float | None = None, channel: float | None = None) -> bytes:
        return audio.segment_hash(audio.file_hash(path), start, end, channel)

    whole = source_hash()
    assert whole == hashlib.sha256(path.read_bytes()).digest()
    assert source_hash(float("nan"), float("nan"), float("nan")) == whole
    others = [source_hash(*s) for s in [(0.1,), (0.1, 0.2), (None, 0.1), (None, None, 0), (None, None, 1)]]
    assert len({whole, *others}) == 6
    assert source_hash(1, 2, 0) == source_hash(1.0, 2.0, 0.0)
    written(path, tone(hz=441))
    assert source_hash() != whole


def test_video_without_ffmpeg_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dia0_utt0.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom")
    monkeypatch.setattr(decoding.shutil, "which", lambda _: None)
    refused(path, "ffmpeg", "not installed", "apt install ffmpeg")


def ffmpeg_of(kind: str, tmp_path: Path) -> str:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip(f"ffmpeg is not installed: {kind} cannot be tried")
    return ffmpeg


@pytest.mark.parametrize("kind", ["mp4", "m4a", "webm", "mkv"])
def test_containers_by_ffmpeg(tmp_path: Path, kind: str) -> None:
    ffmpeg = ffmpeg_of(kind, tmp_path)
    wav, path = written(tmp_path / "a.wav", tone(1, 48000), 48000), tmp_path / f"a:b.{kind}"
    codec = "libopus" if kind in ("webm", "mkv") else "aac"
    command = [ffmpeg, "-v", "error", "-i", str(wav), "-c:a", codec, "-b:a", "128k", f"file:{path}"]
    subprocess.run(command, check=True)
    loaded = audio.load(path, RATE)
    assert abs(len(loaded) - RATE) < 0.1 * RATE
    assert abs(int(np.abs(np.fft.rfft(loaded[:RATE], RATE)).argmax()) - 440) <= 1
    assert len(audio.load(path, RATE, start=0.25, end=0.5)) == 4000


def test_a_video_without_sound_or_damaged(tmp_path: Path) -> None:
    ffmpeg = ffmpeg_of("mp4", tmp_path)
    silent, broken = tmp_path / "a.mp4", tmp_path / "b.mp4"
    picture = ["-f", "lavfi", "-i", "color=size=16x16:duration=0.2", "-c:v", "mpeg4"]
    subprocess.run([ffmpeg, "-v", "error", *picture, str(silent)], check=True)
    refused(silent, "cannot be decoded", "no audio track")
    broken.write_bytes(silent.read_bytes()[:100])
    refused(broken, "cannot be decoded")


@pytest.mark.parametrize("ending", ["wav", "mp4", "webm", "amr", ""])
def test_a_text_is_called_a_text_whatever_its_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"notes.{ending}"
    path.write_text("Notes on the recordings\n")
    refused(path, "it is a text file, not audio", "Notes on the recordings")


def test_ffmpeg_has_the_second_try_where_libsndfile_fails(tmp_path: Path) -> None:
    ffmpeg = ffmpeg_of("aac in a wav", tmp_path)
    wav, other = written(tmp_path / "a.wav", tone(1)), tmp_path / "b.m4a"
    subprocess.run([ffmpeg, "-v", "error", "-i", str(wav), "-c:a", "aac", str(other)], check=True)
    disguised = tmp_path / "c.wav"
    os.rename(other, disguised)  # noqa: PTH104
    assert abs(len(audio.load(disguised, RATE)) - RATE) < 0.1 * RATE


def test_a_process_that_is_killed_while_ffmpeg_converts_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(1000))
    temporary, programs = tmp_path / "temporary", tmp_path / "programs"
    temporary.mkdir()
    programs.mkdir()
    (programs / "ffmpeg").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 60\n")
    (programs / "ffmpeg").chmod(0o755)
    code = "import sys; from pathlib import Path; from ser.audio import reading; reading.decode(Path(sys.argv[1]))"
    environment = {**os.environ, "TMPDIR": str(temporary), "PATH": f"{programs}:{os.environ['PATH']}"}
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.mp4")], env=environment, start_new_session=True)
    try:
        for _ in range(600):
            if (tmp_path / "started").exists():
                break
            time.sleep(0.1)
        assert (tmp_path / "started").exists()
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert list(temporary.iterdir()) == []
