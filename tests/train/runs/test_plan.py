"""Runs that go together, devices and workers; a killed worker is one line, not a traceback."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ser.accelerator import device_here, pick_device
from ser.errors import ConfigError, SerError
from ser.features.blocks import Block
from ser.metadata.folds.fold import Fold
from ser.train.experiments.fit import fit
from ser.train.loop.config import make_config
from ser.train.loop.data import Resident
from ser.train.loop.trainer import Data
from ser.train.runs import costs, plan, scheduler
from ser.train.runs.job import Finished, Job
from ser.train.runs.worker import train_unit
from ser.workers import processes
from ser.workers.engine import Engine
from tests.simulated import simulated_gpu


def test_results_come_with_their_positions_from_workers_with_one_thread() -> None:
    expected = {k: divmod(k, 3) for k in range(7)}
    for jobs in (1, 2):
        assert dict(scheduler.run_units(divmod, [(k, 3) for k in range(7)], Engine(jobs))) == expected
    assert dict(scheduler.run_units(torch.get_num_threads, [()] * 3, Engine(2))) == {0: 1, 1: 1, 2: 1}


def _killed_once(marks: Path, number: int) -> int:
    mark = marks / f"{number}"
    if number in (1, 5) and not mark.exists():
        mark.touch()
        os._exit(9)
    return number


@pytest.mark.usefixtures("forked_workers")
def test_the_work_of_killed_workers_is_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(scheduler.run_units(_killed_once, [(tmp_path, k) for k in range(8)], Engine(2)))
    assert sorted(found) == [(k, k) for k in range(8)]
    assert len(list(tmp_path.iterdir())) == 2
    said = capsys.readouterr().err
    assert "training: a worker process was ended from outside, for want of memory perhaps. What was begun is done again" in said
    monkeypatch.setattr(processes, "AGAIN", 0)
    with pytest.raises(SerError, match=r"worker process was ended from outside.*--jobs"):
        list(scheduler.run_units(os._exit, [(9,)] * 4, Engine(2)))


def test_small_heads_are_stacked_and_others_are_not(data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    pooled, frames = data("pooled").resident.inputs, data("frames").resident.inputs
    monkeypatch.setattr(plan, "cores", lambda: 2)
    long = partial(plan.stack_size, make_config("mlp"), pooled, 4, 5, "cpu", rows=100_000)
    assert long() == 3  # and 2: each core has something to do
    assert long(folds=6) == 5
    assert plan.stack_size(make_config("mlp"), pooled, 4, 5, "cpu", asked=4) == 4
    assert plan.stack_size(make_config("mlp"), pooled, 4, 1000, "cpu") == plan.LARGEST_STACK
    assert plan.stack_size(make_config("cross_attention"), pooled, 4, 5, "cpu") == 1
    assert plan.stack_size(make_config("cross_attention"), pooled, 4, 5, "cuda") == 5
    assert plan.stack_size(make_config("mean_linear"), frames, 4, 5, "cpu") == 1
    assert plan.stack_size(make_config("bilstm"), frames, 4, 5, "cuda") == 1
    for name in ("mean_linear", "bilstm"):
        with pytest.raises(ConfigError, match=rf"--stack 2: head {name} trains one run at a time, as"):
            plan.stack_size(make_config(name), frames, 4, 5, "cpu", asked=2)
    assert plan.groups(range(5), 2) == [[0, 1], [2, 3], [4]]


def test_workers_are_bounded_by_units_and_cores() -> None:
    assert plan.workers(8, 3, "cpu") == 3
    assert plan.workers(None, 1000, "cpu") >= 1
    assert plan.workers(8, 3, "cuda") == 1
    assert pick_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        assert pick_device("auto") == "cpu"
        with pytest.raises(ConfigError, match="no GPU by torch"):
            pick_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(ConfigError, match="no GPU by torch"):
            pick_device("mps")


def test_a_gpu_of_a_number_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == "cuda:1"
    with pytest.raises(ConfigError, match=r"--device cuda:2: .* expected one of auto, cpu, cuda, cuda:0 to cuda:1\. Take"):
        pick_device("cuda:2")


@pytest.mark.filterwarnings("error")
def test_arrays_that_may_not_be_written_are_taken_without_remark() -> None:
    values = np.ones((4, 3), dtype=np.float32)
    values.flags.writeable = False  # as the memory maps are that workers get
    assert Resident([Block("x", "audio", values)]).values["x"].sum() == 12


def test_short_work_is_not_spread(data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    pooled, frames = data("pooled").resident.inputs, data("frames").resident.inputs
    config = make_config("linear", epochs=10)
    assert 0 < costs.seconds(config, pooled, 4, 100, 5) < costs.NEW
    assert costs.seconds(make_config("linear", epochs=1000), pooled, 4, 10000, 5) > costs.NEW
    assert costs.seconds(make_config("mean_linear"), frames, 4, 100, 5) == float("inf")
    monkeypatch.setattr(plan, "cores", lambda: 2)
    assert plan.stack_size(config, pooled, 4, 20, "cpu", rows=100) == 20
    assert plan.stack_size(config, pooled, 4, 20, "cpu", rows=1_000_000) == 10


def _on_a_simulated_gpu(job: Job, folds: list[Fold], runs: list[int], _: None) -> Finished:
    """Train as a worker of a machine with two GPUs, once the other worker is there."""
    with pytest.MonkeyPatch.context() as patch, simulated_gpu(patch):
        patch.setattr(torch.cuda, "device_count", lambda: 2)
        job.folder.parent.mkdir(exist_ok=True)
        (job.folder.parent / f"{device_here(job.device)}-{os.getpid()}").touch()
        until = time.monotonic() + 120
        while len(list(job.folder.parent.glob("cuda:*"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        return train_unit(job, folds, runs)


@pytest.mark.usefixtures("forked_workers")
def test_all_gpus_train_in_one_command_with_the_numbers_of_one(
    maker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    given: dict[str, Any] = {"epochs": 2, "runs": 4, "protocol": "speaker", "head_options": {"hidden": 8}}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: "Simulated 1")
    with simulated_gpu(monkeypatch):
        alone = fit("toy", maker.space, **given, device="cuda:all", output=tmp_path / "one" / "alone.json")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(scheduler, "is_short", lambda _: False)
    monkeypatch.setattr(scheduler, "train_unit", _on_a_simulated_gpu)
    both = fit("toy", maker.space, **given, device="cuda:all", output=tmp_path / "two" / "both.json")
    workers = [path.name.split("-") for path in (tmp_path / "two").glob("cuda:*")]
    assert sorted(name for name, _ in workers) == ["cuda:0", "cuda:1"]  # each worker has kept its own
    assert len({process for _, process in workers}) == 2
    assert both["test"] == alone["test"]
    assert both["environment"]["device"] == "cuda:all (Simulated 1)"
    for path in (tmp_path / "one" / "alone").glob("run-*.csv*"):
        assert path.read_bytes() == (tmp_path / "two" / "both" / path.name).read_bytes()


def test_few_runs_are_stacks_for_each_gpu(data: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = data("pooled").resident.inputs
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    size = partial(plan.stack_size, make_config("mlp"), pooled, 4)
    assert [size(20, device) for device in ("cuda", "cuda:all")] == [20, 5]
    assert size(20, "cuda:all", folds=3) == 15
    assert plan.workers(None, 100, "cuda:all") == 4
    assert plan.workers(2, 100, "cuda:all") == plan.workers(None, 2, "cuda:all") == 2
    assert pick_device("cuda:all", every=True) == "cuda:all"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:all", every=True) == "cuda"
