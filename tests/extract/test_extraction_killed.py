"""Extraction in processes of its own: killed at random moments, shared by two, spread over workers, interrupted."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.extract.extraction import extract
from ser.features.stores.store import FeatureStore, shards_folder
from ser.workspace import Workspace
from tests.conftest import Copied
from tests.extract import toy_encoder
from tests.extract.toy_encoder import Moments, table_of

COUNT, CHUNK = 128, 16
SCRIPT = Path(__file__).with_name("toy_encoder.py")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(COUNT):
        noise = np.random.default_rng(number).normal(0, 0.1, 800 + 7 * number).astype(np.float32)
        soundfile.write(folder / f"u{number:03d}.wav", noise, 8000, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made in one go."""
    work = tmp_path_factory.mktemp("whole")
    assert f"{COUNT} done, 0 skipped, 0 failed" in go_on(root, work)
    return stored(work)


def go_on(root: Path, work: Path) -> str:
    """Do what is left in this process, as the script does: to start one takes half a second of imports."""
    return extract(table_of(root), Moments(), Workspace(work), quiet=True)[0].line()


def start(root: Path, work: Path, *options: str) -> Copied:
    """The script in a process of its own, which begins anew where it starts workers."""
    words = [str(SCRIPT), str(root), str(work), *options]

    def run() -> None:
        if "--jobs" in options:
            os.execv(sys.executable, [sys.executable, *words])
        sys.argv = words
        toy_encoder.main()

    return Copied(work.parent, run)


def finish(process: Copied) -> str:
    code = process.ended(100)
    said, complained = process.said()
    assert code == 0, complained
    return said


def stored(work: Path) -> Path:
    return work / "features" / "toy" / "moments.h5"


def shards(path: Path) -> int:
    return len(list(shards_folder(path).glob("*.h5")))


def wait_for_shards(process: Copied, path: Path, count: int) -> None:
    until = time.monotonic() + 60
    while shards(path) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def kill(process: Copied) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.ended(60)


def assert_equal(one: Path, other: Path) -> None:
    with FeatureStore(one) as a, FeatureStore(other) as b:
        assert a.ids == b.ids
        assert len(a) == COUNT
        assert a.sources() == b.sources()
        for utterance in a.ids:
            np.testing.assert_array_equal(a[utterance], b[utterance])
    assert not [p for p in other.parent.rglob("*") if p.name.endswith(".tmp") or p.suffix == ".shards"]


def moments(kills: int) -> Iterator[tuple[int, float]]:
    """Random moments: how many new shards to wait for, and how long after that (s)."""
    rng = random.Random()
    for number in range(kills):
        yield (number + 1) % 2, rng.uniform(0, 0.25)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_at_random_moments_it_goes_on(root: Path, whole: Path, tmp_path: Path, jobs: str) -> None:
    path, committed = stored(tmp_path), 0
    more = [] if jobs == "1" else ["--jobs", jobs]
    for new, delay in moments(3 if jobs == "1" else 1):
        process = start(root, tmp_path, "--sleep", "0.01", *more)
        wait_for_shards(process, path, shards(path) + new)
        time.sleep(delay)
        kill(process)  # on a busy machine it may have ended by then
        if path.exists() or shards(path):
            with FeatureStore(path) as store:
                assert store.verify() == []
                assert len(store) >= committed
                assert len(store) % CHUNK == 0
                committed = len(store)
    assert committed
    assert f"{COUNT - committed} done, {committed} skipped, 0 failed" in finish(start(root, tmp_path, *more))
    assert_equal(whole, path)


def test_two_processes_share_the_work(root: Path, whole: Path, tmp_path: Path) -> None:
    both = [start(root, tmp_path, "--shard", index, "2", "--sleep", "0.002") for index in ("0", "1")]
    for process in both:
        assert f"{COUNT // 2} done, 0 skipped, 0 failed" in finish(process)
    assert not stored(tmp_path).exists()
    assert f"0 done, {COUNT} skipped, 0 failed" in go_on(root, tmp_path)
    assert_equal(whole, stored(tmp_path))


def test_an_interrupt_of_workers_is_quiet_and_keeps_what_is_done(root: Path, whole: Path, tmp_path: Path) -> None:
    process = start(root, tmp_path, "--sleep", "0.02", "--jobs", "2")
    wait_for_shards(process, stored(tmp_path), 2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.ended(60) not in (0, None)
    complained = process.said()[1]
    assert complained.strip().endswith("KeyboardInterrupt")
    assert complained.count("Traceback") == 1  # the script's own; the workers end without a word
    assert shards(stored(tmp_path)) >= 2
    go_on(root, tmp_path)
    assert_equal(whole, stored(tmp_path))


def test_a_second_process_is_refused_while_the_first_writes(root: Path, tmp_path: Path) -> None:
    first = start(root, tmp_path, "--sleep", "0.05")
    wait_for_shards(first, stored(tmp_path), 1)
    os.killpg(first.pid, signal.SIGSTOP)  # however long the second takes to start
    second = start(root, tmp_path)
    assert second.ended(60) != 0
    complained = second.said()[1]
    assert "another process is writing" in complained
    kill(first)
    assert "0 failed" in go_on(root, tmp_path)  # the dead process's lock is free


def test_joblib_still_works_where_an_encoder_had_workers() -> None:
    """In one process, as `ser demo` goes on from features to training."""
    script = (
        "from ser.extract.pipeline import _workers\n"
        "from ser.workers.processes import in_order\n"
        "if __name__ == '__main__':\n"
        "    assert _workers(2).submit(abs, -1).result() == 1\n"
        "    print(list(in_order(divmod, [(7, 3), (8, 3)], 2, 'dividing')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[(2, 1), (2, 2)]", done.stderr
