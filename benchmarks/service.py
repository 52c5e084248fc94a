"""The service, measured: latency beside `ser.Predictor`, and many uploads at once with hostile ones among them.

    python benchmarks/service.py latency --workspace W --model A --model B --weights DIR --clip a.wav
    python benchmarks/service.py load --workspace W --model A --clip a.wav --clients 200 --minutes 10

`latency` cuts the clip to 3 s and asks for it again and again, by `ser.Predictor` and over HTTP. `load` keeps so many uploads
on their way, and writes each minute the memory, threads and open files of the service, and at the end what each kind of upload
got. The client takes its share of the same processors.
"""

import argparse
import asyncio
import io
import json
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

BOUNDARY = "x" * 30
SECONDS = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["latency", "load"])
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    clip = _clip(asked.clip)
    if asked.what == "latency":
        for model in asked.model:
            _latency(asked, model, clip)
    else:
        with _service(asked, asked.model) as (process, port):
            asyncio.run(_load(process.pid, port, clip, asked.clients, 60 * asked.minutes))


def _clip(path: Path) -> bytes:
    """The first 3 s of a recording as a wav, repeated where it is shorter."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    count = round(SECONDS * rate)
    return _wav(np.resize(samples[:, 0], count), rate)


def _wav(samples: Any, rate: int, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


@contextmanager
def _service(asked: argparse.Namespace, models: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "ser", "serve", "--workspace", asked.workspace, "--port", "0"]
    command += [word for model in models for word in ("--model", model)]
    command += ["--weights", asked.weights] if asked.weights else []
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, text=True)
        try:
            said = ""
            while "startup complete" not in said:
                time.sleep(0.2)
                said = Path(log.name).read_text(encoding="utf-8")
                if process.poll() is not None:
                    raise SystemExit(said)
            time.sleep(0.5)
            yield process, int(said.split("running on http://")[1].split()[0].rsplit(":", 1)[1])
        finally:
            process.terminate()
            ended = process.wait(60)
            said = Path(log.name).read_text(encoding="utf-8")
            print(f"the service ended with {ended}; tracebacks in its log: {said.count('Traceback')}")
            if "Traceback" in said:
                print(said[said.index("Traceback") :][:5000])


# --- latency ------------------------------------------------------------------------------------------------------------


def _latency(asked: argparse.Namespace, model: str, clip: bytes) -> None:
    from ser.predict.predictor import Predictor
    from ser.results.records.find import find_heads
    from ser.workspace import Workspace

    began = time.perf_counter()
    predictor = Predictor(find_heads(model, Workspace(Path(asked.workspace)).results), weights=asked.weights)
    loaded = time.perf_counter() - began
    names = ", ".join(encoder.name for encoder in predictor.encoders)
    _row(names, "ser.Predictor", loaded, _times(lambda: predictor.predict(clip), asked.requests))
    began = time.perf_counter()
    with _service(asked, [model]) as (_, port):
        loaded = time.perf_counter() - began
        request = _request(clip, "clip.wav")
        _row(names, "service", loaded, _times(lambda: asyncio.run(_answer(port, request)), asked.requests))


def _times(work: Callable[[], Any], count: int) -> list[float]:
    found = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found


def _row(names: str, how: str, loaded: float, times: list[float]) -> None:
    rest = times[1:]
    shown = [times[0], statistics.median(rest), float(np.quantile(rest, 0.99))]
    print(f"| {names} | {how} | {loaded:.1f} s | " + " | ".join(f"{1000 * t:.0f} ms" for t in shown) + " |", flush=True)


# --- load ---------------------------------------------------------------------------------------------------------------


def _request(content: bytes, name: str, query: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST /predict{query} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _answer(port: int, request: bytes, part: float = 1.0, pause: float = 0.0) -> tuple[int, str]:
    """Send a request, or a part of it and leave, or in pieces; status 0 where the client left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if pause:
            for k in range(0, len(request), len(request) // 8 + 1):
                writer.write(request[k : k + len(request) // 8 + 1])
                await writer.drain()
                await asyncio.sleep(pause)
        else:
            writer.write(request[: round(part * len(request))])
            await writer.drain()
        if part < 1:
            return 0, ""
        answer = await reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()
    finally:
        writer.close()


def _header(rate: int, channels: int, declared: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * channels * 2, 2**32 - 1), channels * 2, 16)
    body = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", declared) + b"\1\2" * 4000
    return b"RIFF" + struct.pack("<I", 36 + declared) + b"WAVE" + body


def _kinds(clip: bytes) -> dict[str, tuple[float, bytes, int, dict[str, float]]]:
    """The kinds of uploads: how often, the request, the status that is right, and how it is sent."""
    flac = io.BytesIO()
    soundfile.write(flac, np.zeros((48000 * 250, 8), dtype=np.int16), 48000, format="FLAC")
    broken = np.array([0.1, np.nan] * 8000, dtype=np.float32)
    return {
        "a clip of 3 s": (12, _request(clip, "clip.wav"), 200, {}),
        "its timeline": (2, _request(clip, "clip.wav", "?window=1&hop=0.5"), 200, {}),
        "a name with folders": (1, _request(clip, "../../../etc/passwd"), 200, {}),
        "a name in Chinese": (1, _request(clip, "录音 🎙.wav"), 200, {}),
        "sent slowly": (1, _request(clip, "slow.wav"), 200, {"pause": 0.5}),
        "the client leaves": (1, _request(clip, "left.wav"), 0, {"part": 0.5}),
        "empty": (1, _request(b"", "empty.wav"), 422, {}),
        "text": (1, _request(b"no sound\n" * 1000, "text.wav"), 422, {}),
        "random bytes": (1, _request(random.Random(0).randbytes(50000), "random.mp3"), 422, {}),
        "header: 1 GB that is not there": (1, _request(_header(16000, 1, 2**30), "lies.wav"), 422, {}),
        "header: 0 channels": (1, _request(_header(16000, 0, 8000), "none.wav"), 422, {}),
        "header: 10^9 Hz": (1, _request(_header(10**9, 1, 8000), "fast.wav"), 422, {}),
        "values that are not finite": (1, _request(_wav(broken, 16000, "FLOAT"), "nan.wav"), 422, {}),
        "flac of 384 MB of silence": (1, _request(flac.getvalue(), "bomb.flac", "?window=4"), 413, {}),
        "40 MB": (0.2, _request(b"\0" * 40_000_000, "large.wav"), 413, {}),
        "a damaged form": (1, _request(clip, "a.wav").replace(b"form-data; name", b"form data name"), 0, {}),
    }


async def _load(pid: int, port: int, clip: bytes, clients: int, seconds: float) -> None:
    kinds = _kinds(clip)
    got: dict[str, Counter[int]] = defaultdict(Counter)
    said: dict[str, str] = {}
    times: list[float] = []
    until = time.monotonic() + seconds
    names, weights = list(kinds), [kind[0] for kind in kinds.values()]
    plain: set[str] = set()

    async def client(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < until:
            (name,) = draw.choices(names, weights)
            _, request, _, how = kinds[name]
            began = time.monotonic()
            status, body = await _answer(port, request, **how)
            got[name][status] += 1
            if name == names[0]:
                times.append(time.monotonic() - began)
                plain.add(json.dumps(json.loads(body)["rows"]) if status == 200 else body)
            elif status >= 400:
                said[name] = json.loads(body)["error"]

    print("| minute | resident memory | threads | open files | temporary folders | answers |")
    print("| --- | --- | --- | --- | --- | --- |")

    async def watch() -> None:
        began = time.monotonic()
        while time.monotonic() < until:
            _state(pid, (time.monotonic() - began) / 60, sum(sum(c.values()) for c in got.values()))
            await asyncio.sleep(min(60, seconds / 10))

    await asyncio.gather(watch(), *(client(k) for k in range(clients)))
    await asyncio.sleep(10)
    _state(pid, seconds / 60, sum(sum(c.values()) for c in got.values()))
    print("\n| upload | answers | error |\n| --- | --- | --- |")
    for name in names:
        shown = ", ".join(f"{count} x {status or 'left'}" for status, count in sorted(got[name].items()))
        print(f"| {name} | {shown} | {said.get(name, '')} |")
    wrong = {n: dict(got[n]) for n, kind in kinds.items() if n != "a damaged form" and set(got[n]) - {kind[2]}}
    print(f"\nother than expected: {wrong or 'none'}; different answers to the same clip: {len(plain)}")
    print(f"time of a clip: median {statistics.median(times):.1f} s, 99th percentile {np.quantile(times, 0.99):.1f} s")


def _state(pid: int, minute: float, answers: int) -> None:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    memory, threads = int(status["VmRSS"].split()[0]) / 1024, status["Threads"].strip()
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    folders = len(list(Path(tempfile.gettempdir()).glob("ser-upload-*")))
    print(f"| {minute:.1f} | {memory:.0f} MiB | {threads} | {files} | {folders} | {answers} |", flush=True)


if __name__ == "__main__":
    main()
