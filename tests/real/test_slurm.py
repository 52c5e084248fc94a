"""A real SLURM: parts, of which one is put back into the queue, and one is killed; the result is that of one process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.features.stores.store import FeatureStore
from ser.workspace import Workspace
from tests.real.local_slurm import missing, slurm

pytestmark = pytest.mark.skipif(
    bool(missing()) or not os.environ.get("SER_REAL_WEIGHTS"), reason=missing() or "only `make test-real` asks for it"
)
ROOT = Path(__file__).parents[2]
COUNT = 400
PATIENCE = 900  # s, after which something hangs: the machine may be busy


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    pytest.importorskip("submitit", reason="submitit is not installed")
    with tempfile.TemporaryDirectory(prefix="ser-slurm-") as folder, slurm(Path(folder)) as given:
        yield {**given, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _values(workspace: Path) -> tuple[list[str], bytes]:
    with FeatureStore(Workspace(workspace).store("mine", "egemaps")) as store:
        return store.ids, b"".join(np.ascontiguousarray(b.values).tobytes() for b in store.blocks(store.ids))


def _jobs(workspace: Path) -> list[str]:
    until = time.monotonic() + PATIENCE
    while not (found := list(workspace.glob(".slurm/*/jobs.json"))) and time.monotonic() < until:
        time.sleep(0.2)
    return list(json.loads(found[0].read_text())["parts"])


def _wait_until_running(job: str, environment: dict[str, str]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        asked = subprocess.run(["squeue", "-h", "-r", "-o", "%i %T"], env=environment, capture_output=True, text=True)
        if f"{job} RUNNING" in asked.stdout.splitlines():
            return
        time.sleep(0.2)
    raise AssertionError(asked.stdout)


def _processes(part: str, environment: dict[str, str]) -> list[int]:
    """The process of a part under this SLURM, once it has begun."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            given, words = (folder / "environ").read_bytes().split(b"\0"), (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        own = {f"SLURM_CONF={environment['SLURM_CONF']}".encode(), f"SLURM_ARRAY_TASK_ID={part}".encode()} <= set(given)
        if own and b"submitit.core._submit" in words and not words.startswith(b"srun"):
            found.append(int(folder.name))
    return found


def _killed(part: str, running: "subprocess.Popen[str]", environment: dict[str, str]) -> str:
    """Kill a part's processes, and give what the command says as it ends."""
    while not (found := _processes(part, environment)) and running.poll() is None:
        time.sleep(0.1)
    for process in found:
        os.kill(process, signal.SIGKILL)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    return said


def test_four_parts_of_which_one_is_requeued_and_one_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("opensmile", reason="opensmile is not installed")
    for number in range(COUNT):
        path = tmp_path / "corpus" / ("anger" if number % 2 else "neutral") / f"u{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 32000), 16000)
    spaces = [tmp_path / "one", tmp_path / "four"]
    ser = [sys.executable, "-m", "ser"]
    for space in spaces:
        words = ["metadata", "--dataset", "mine", "--format", "folder", "--root", str(tmp_path / "corpus"), "--quiet"]
        subprocess.run([*ser, *words, "--workspace", str(space)], env=environment, check=True)
    extract = [*ser, "extract", "--dataset", "mine", "--audio", "egemaps"]
    subprocess.run([*extract, "--jobs", "2", "--quiet", "--workspace", str(spaces[0])], env=environment, check=True)

    words = [*extract, "--backend", "slurm", "--shards", "4", "--time", "10", "--workspace", str(spaces[1])]
    running = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = _jobs(spaces[1])
    _wait_until_running(parts[1], environment)
    subprocess.run(["scontrol", "requeue", parts[1]], env=environment, check=True)
    _wait_until_running(parts[2], environment)
    said = _killed("2", running, environment)
    assert "part 2 of 4 died" in said
    assert "0_log.out" in said
    assert "give the same command again" in said

    again = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 0, again.stderr
    assert f"{COUNT} skipped, 0 failed" in again.stdout
    assert _values(spaces[1]) == _values(spaces[0])


def test_a_fit_in_parts_of_which_one_is_requeued_and_one_is_killed(
    maker: Any, tmp_path: Path, environment: dict[str, str]
) -> None:
    maker.table("toy", speakers=10, each=8)
    maker.store("toy", dim=64)
    words = ["fit", "--dataset", "toy", "--protocol", "speaker", "--runs", "4", "--epochs", "20"]
    words += ["--workspace", str(maker.space.root)]
    ser = [sys.executable, "-m", "ser"]
    subprocess.run([*ser, *words, "--output", str(tmp_path / "one.json"), "--jobs", "1"], env=environment, check=True)
    whole = [*ser, "slurm", "--shards", "3", "--time", "10", *words, "--output", str(tmp_path / "parts.json")]
    running = subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = _jobs(maker.space.root)
    _wait_until_running(parts[1], environment)
    subprocess.run(["scontrol", "requeue", parts[1]], env=environment, check=True)
    said = _killed("2", running, environment)
    assert "part 2 of 3 died" in said
    again = subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 0, again.stderr
    alone, spread = ({p.name: p.read_bytes() for p in (tmp_path / n).glob("*.csv")} for n in ("one", "parts"))
    assert alone == spread
    assert len(alone) == 40
