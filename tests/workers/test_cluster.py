"""Clusters: numbers of one process, lost workers and lost clusters, data that travel once, and workers that do not fit."""

import gc
import hashlib
import os
import re
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser import outside, registry
from ser.errors import ConfigError, SerError
from ser.evaluation.evaluate import evaluate
from ser.train.experiments.fit import fit
from ser.workers import engine as door
from ser.workers import envelopes, ray
from ser.workers.engine import CLUSTERS, Engine, as_finished
from ser.workers.envelopes import FOLDER, Envelopes, open_envelope, shared_folder
from ser.workers.ray import Ray, offer_token

ROOT = Path(__file__).parents[2]


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def dask_cluster(folder: Path, workers: int = 1, threads: int = 1) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers, processes that speak TCP: the address, and the processes, the scheduler first."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    # A worker looks at its stack a hundred times a second, for a picture that nobody sees here.
    environment["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"
    address = f"tcp://127.0.0.1:{_port()}"
    common = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard"]
    started = [subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *words], **common)]  # type: ignore[call-overload]
    words = [address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny"]
    started += [
        subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", *words], **common)  # type: ignore[call-overload]
        for _ in range(workers)
    ]
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.rsplit(":", 1)[1]))) == 0:
                    break
            time.sleep(0.1)
        yield address, started
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A cluster with one worker for several tests: the folder that it was started in, and its address."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with dask_cluster(folder) as (address, _):
        yield folder, address


def test_fit_and_evaluation_on_dask_have_the_numbers_of_one_process(
    cluster: tuple[Path, str], maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("toy", "other"):
        maker.table(name)
        maker.store(name, "a")
    given: dict[str, Any] = {"epochs": 2, "runs": 2, "stack": 1, "head_options": {"hidden": 8}}
    given |= {"protocol": "speaker", "folds": 3}
    alone = fit("toy", maker.space, **given, jobs=1, save=True, output=tmp_path / "alone.json")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster[1])
    spread = fit("toy", maker.space, **given, backend="dask", output=tmp_path / "dask.json")
    names = {"here": {"jobs": 1}, "there": {"backend": "dask"}}
    found = [
        evaluate(tmp_path / "alone.json", maker.space, dataset="other", output=tmp_path / f"{name}.json", **workers)
        for name, workers in names.items()
    ]
    assert {**found[1][0], "files": {}, "time": {}} == {**found[0][0], "files": {}, "time": {}}
    here, there = (path.parent / record["files"]["predictions"]["path"] for record, path in found)
    assert here.read_bytes() == there.read_bytes()
    assert spread["test"] == alone["test"]
    assert spread["config_hash"] == alone["config_hash"]
    for path in (tmp_path / "alone").glob("run-*.csv*"):
        assert path.read_bytes() == (tmp_path / "dask" / path.name).read_bytes()
    assert not (maker.space.root / FOLDER).exists()


def test_ray_has_the_numbers_of_one_process_and_a_session_of_one_s_own_stays_open(maker: Any, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    maker.table("toy")
    maker.store("toy", "a")
    given: dict[str, Any] = {"epochs": 3, "runs": 2, "stack": 1, "head_options": {"hidden": 8}}
    alone = fit("toy", maker.space, **given, jobs=1, output=tmp_path / "alone.json")
    here = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env=here)
    try:
        spread = fit("toy", maker.space, **given, backend="ray", output=tmp_path / "ray.json")
        assert (spread["test"], spread["config_hash"]) == (alone["test"], alone["config_hash"])
        place = ray.get_runtime_context().gcs_address
        port = place.rsplit(":", 1)[1]
        for address in ("auto", place, f"127.0.0.1:{port}"):
            engine = Engine(backend="ray", address=address, workspace=tmp_path)
            running = as_finished(time.sleep, [(0,)] * 3, engine, "naps")
            next(running)
            running.close()  # type: ignore[attr-defined]
        assert ray.is_initialized()
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            engine = Engine(backend="ray", address=f"127.0.0.1:{other.getsockname()[1]}", workspace=tmp_path)
            with pytest.raises(ConfigError, match=f"a Ray session at another place; found {place}"):
                list(as_finished(time.sleep, [(0,)], engine, "naps"))
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("given", "in_home", "expected"),
    [
        ({}, False, None),
        ({}, True, "token"),
        ({"RAY_AUTH_TOKEN": "abc"}, False, "token"),
        ({"RAY_AUTH_TOKEN_PATH": "token.txt"}, False, "token"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "disabled"),
    ],
)
def test_a_token_of_ray_that_the_user_has_is_sent(
    given: dict[str, str], in_home: bool, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ray start` asks for the token that an earlier `ray.init` left in the user's home."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that the test leaves nothing behind
        monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path), **given}.items():
        monkeypatch.setenv(name, value)
    if in_home:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("abc")
    offer_token()
    assert os.environ.get("RAY_AUTH_MODE") == expected


def test_a_worker_that_lives_on_takes_an_edited_part(
    cluster: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.test_outside import CORPUS  # not where workers import this module

    folder, address = cluster
    files = [folder / "my_words.py", folder / "zz_words" / "__init__.py"]
    files[1].parent.mkdir()
    monkeypatch.chdir(folder)
    units = [("ser.metadata.corpora", name) for name in ("my_words", "zz_words:parse")]
    engine = Engine(backend="dask", address=address, workspace=tmp_path)
    for edit in ("First", "Second"):
        source = CORPUS.replace("Words", edit)
        total = hashlib.sha256(source.encode()).hexdigest()
        for file in files:
            file.write_text(source, encoding="utf-8")
        monkeypatch.setenv(outside.VARIABLE, f"{files[0]}#{total};zz_words:parse#{total}")
        found = [facts["sha256"] for _, (facts,) in as_finished(registry.facts_of_parts, units, engine, "parts")]
        assert found == [total] * 2


def test_workers_keep_the_arrays_of_one_command_only(tmp_path: Path) -> None:
    for name in ("first", "second", "first"):
        (tmp_path / name).mkdir(exist_ok=True)
        files = Envelopes(tmp_path / name)
        envelope = files.envelope(_parts, (np.full(20_000, len(name)),))
        one, two = open_envelope(envelope)[0], open_envelope(envelope)[0]
        assert one is two
        assert (one == len(name)).all()
        gone = weakref.ref(one)
        del one, two
        assert gone() is not None
        open_envelope(Envelopes(tmp_path).envelope(_parts, (np.arange(20_000),)))
        gc.collect()
        assert gone() is None


def test_a_lost_workers_unit_is_done_by_another_and_a_lost_cluster_is_said(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=2) as (address, started):
        engine = Engine(backend="dask", address=address, workspace=tmp_path)
        running = as_finished(time.sleep, [(0.5,)] * 6, engine, "naps")
        found = [next(running)[0]]
        started[1].kill()
        found += [k for k, _ in running]
        assert sorted(found) == list(range(6))  # none is lost, none is twice
        running = as_finished(time.sleep, [(1.0,)] * 4, engine, "naps")
        next(running)
        started[0].kill()
        with pytest.raises(SerError, match=r"naps: the Dask cluster was lost.*same command again"):
            list(running)
    assert not list(tmp_path.glob(f"{FOLDER}/*"))


@pytest.mark.parametrize("connecting", [0.0, 4.5])  # seconds: a port that refuses, and a machine that is off
def test_a_head_of_ray_that_no_longer_answers_is_said_before_ray_ends_the_process(
    connecting: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, asked = object.__new__(Ray), []
    asks = ray._answers

    def answers(place: str) -> bool:
        found = asks(place)
        asked.append(0.0 if found else connecting)
        return found

    monkeypatch.setattr(ray, "_answers", answers)
    monkeypatch.setattr(ray, "time", SimpleNamespace(monotonic=lambda: sum(asked)))

    def wait(futures: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        asked.append(timeout)
        return (futures[:1], []) if asked.count(timeout) == 20 else ([], futures)

    cluster.ray = SimpleNamespace(wait=wait)
    cluster.place = f"127.0.0.1:{_port()}"
    with pytest.raises(SerError, match=rf"naps: the Ray cluster was lost; found nothing answers at {cluster.place}"):
        cluster.finished(["one"], "naps")
    assert sum(asked) < 45
    with socket.socket() as head:  # one that answers may take as long as it likes
        head.bind(("127.0.0.1", 0))
        head.listen(32)
        cluster.place = f"127.0.0.1:{head.getsockname()[1]}"
        assert cluster.finished(["one"], "naps") == ["one"]


def test_a_unit_that_ends_each_of_its_workers_is_an_error(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=2) as (address, _):
        engine = Engine(backend="dask", address=address, workspace=tmp_path)
        with pytest.raises(SerError, match=r"worker ended .* times"):
            list(as_finished(os._exit, [(9,)], engine, "ends"))


def test_workers_of_several_threads_are_refused(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, threads=2) as (address, _):
        engine = Engine(backend="dask", address=address, workspace=tmp_path)
        with pytest.raises(ConfigError) as caught:
            list(as_finished(abs, [(1,)], engine, "numbers"))
        assert re.search("works in 2 threads.*--nthreads 1", caught.value.line())


@pytest.mark.parametrize("backend", CLUSTERS)
def test_an_address_at_which_nothing_is_and_none(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(door._cluster(backend).VARIABLE, raising=False)
    for address, said in (
        (f"127.0.0.1:{_port()}", "nothing answers at 127.0.0.1:.*Start the cluster"),
        (None, f"has no address.*{door._cluster(backend).VARIABLE}.*is started by"),
        ("nowhere", "expected HOST:PORT"),
    ):
        with pytest.raises(ConfigError, match=said):
            list(as_finished(abs, [(1,)], Engine(backend=backend, address=address, workspace=tmp_path), "numbers"))


def _envelope(folder: Path, *unit: Any) -> tuple[bytes, Envelopes]:
    files = Envelopes(folder)
    return files.envelope(max, unit), files


def test_large_arrays_and_tables_are_files_that_are_written_once(tmp_path: Path) -> None:
    array, table, words = np.arange(100_000.0), pd.DataFrame({"a": ["x"] * 300}), ["y" * 10]
    files = Envelopes(tmp_path)
    envelopes = [files.envelope(_parts, ({"array": array[:], "same": array}, table, words, k)) for k in range(3)]
    assert max(map(len, envelopes)) < 2_000
    assert len(list(tmp_path.iterdir())) == 2 + 3  # each view `array[:]` is another object
    for k, envelope in enumerate(envelopes):
        held, frame, others, number = open_envelope(envelope)
        np.testing.assert_array_equal(held["same"], array)
        assert isinstance(held["same"], np.memmap)
        pd.testing.assert_frame_equal(frame, table)
        assert (others, number) == (words, k)


def _parts(*unit: Any) -> tuple[Any, ...]:
    return unit


def _without_llvmlite(package: str) -> str:
    if package == "llvmlite":
        raise PackageNotFoundError(package)
    return version(package)


def test_a_worker_of_another_version_or_without_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    envelope, _ = _envelope(tmp_path, 1, 2)
    assert open_envelope(envelope) == 2
    own = envelopes._versions()
    monkeypatch.setattr("ser.optional.version", _without_llvmlite)
    with pytest.raises(ConfigError, match=f"expected llvmlite {re.escape(own['llvmlite'])}; found llvmlite none"):
        envelopes._opened(envelope)
    monkeypatch.setattr(envelopes, "_versions", lambda: {**own, "torch": "0.1"})
    with pytest.raises(ConfigError, match=f"other versions; expected torch {re.escape(own['torch'])}; found torch 0.1"):
        envelopes._opened(envelope)
    monkeypatch.undo()
    monkeypatch.setattr(time, "sleep", lambda _: None)
    lost, _ = _envelope(tmp_path, 1, 2)
    lost = lost.replace(str(tmp_path).encode(), str(tmp_path)[:-1].encode() + b"~")
    with pytest.raises(ConfigError, match=r"does not see the workspace.*share"):
        envelopes._opened(lost)


def test_folders_of_ended_commands_of_this_host_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    names = [f"{host}-{ended.pid}-a", f"{host}-{os.getpid()}-b", "another-1-c"]
    for name in names:
        (tmp_path / FOLDER / name).mkdir(parents=True)
    with shared_folder(tmp_path) as folder:
        assert {p.name for p in (tmp_path / FOLDER).iterdir()} == {*names[1:], folder.name}
    assert {p.name for p in (tmp_path / FOLDER).iterdir()} == set(names[1:])


def test_options_that_contradict_the_backend(maker: Any) -> None:
    maker.table("toy")
    for given, said in (
        ({"address": "a:1"}, "--address a:1 means nothing to --backend loky"),
        ({"backend": "dask", "jobs": 2}, "--jobs 2 means nothing to --backend dask"),
        ({"backend": "spark"}, "one of loky, threads, dask, ray"),
        ({"backend": "threads", "address": "a:1"}, "--address a:1 means nothing to --backend threads"),
        ({"backend": "threads", "device": "cuda:all"}, "a process for each GPU .* found --backend threads"),
        ({"backend": "dask", "device": "cuda:all"}, "a process for each GPU .* found --backend dask"),
    ):
        with pytest.raises(ConfigError, match=said):
            fit("toy", maker.space, **given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--address a:1 means nothing to --backend loky"):
        evaluate("none", maker.space, address="a:1")
    with pytest.raises(ConfigError, match="--device cuda:all starts a process for each GPU"):
        evaluate("none", maker.space, backend="dask", device="cuda:all")
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda, cuda:N, cuda:all or mps"):
        evaluate("none", maker.space, device="gpu0")
