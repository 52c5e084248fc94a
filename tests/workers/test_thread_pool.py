"""Threads of one process: the numbers are those of one after another, whatever they share."""

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info

from ser.jsonfile import read_object
from ser.train.experiments.fit import fit
from ser.workers import thread_pool
from ser.workers.engine import Engine, as_finished
from ser.workers.threads import one_thread

THREADS = Engine(3, "threads")


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns a hundred times as often as they do by themselves."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
@pytest.mark.parametrize(
    ("head", "framewise", "given"),
    [
        ("mlp", False, {"epochs": 2, "stack": 1, "head_options": {"hidden": 8}}),
        ("bilstm", True, {"epochs": 2, "head_options": {"hidden": 4}}),  # its dropout is of torch's one generator
        # Notes that it does not converge, and draws from the one generator of liblinear.
        ("sklearn:LinearSVC", False, {"head_options": {"max_iter": 1}}),
    ],
)
def test_a_fit_has_the_numbers_of_one_process(head: str, framewise: bool, given: dict[str, Any], maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", framewise=framewise)
    given = {**given, "head": head, "runs": 2, "protocol": "speaker", "folds": 3, "workspace": maker.space}
    given["save"] = not head.startswith("sklearn:")  # an archive of scikit-learn's has its time in it
    state = torch.random.get_rng_state()
    found = []
    for name, workers in {"one": {"jobs": 1}, "three": {"jobs": 3, "backend": "threads"}}.items():
        folder = maker.space.root / name / "same"
        fit("toy", output=folder.with_suffix(".json"), **given, **workers)
        records = {p.name: read_object(p, "run") for p in folder.glob("run-*.json")}
        for record in records.values():
            del record["seconds"]
        files = {p.name: p.read_bytes() for p in folder.glob("run-*") if p.suffix != ".json"}
        found.append((records, files))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6
    assert all(r["notes"] for r in found[0][0].values()) or "LinearSVC" not in head
    assert (torch.random.get_rng_state() == state).all() or head == "bilstm"


def test_what_is_no_longer_wanted_is_left_and_waited_for() -> None:
    left: list[int] = []

    def work(number: int) -> int:
        while number:  # until the others are not wanted
            try:
                thread_pool.go_on()
            except thread_pool.GivenUp:
                left.append(number)
                raise
            time.sleep(0.001)
        return number

    running = as_finished(work, [(number,) for number in range(9)], THREADS, "numbers")
    assert next(running) == (0, 0)
    running.close()
    assert set(left) <= {1, 2, 3}
    assert left
    assert not [t for t in threading.enumerate() if t.name.startswith("ser_")]
    with pytest.raises(ZeroDivisionError):
        list(as_finished(lambda k: work(k) if k else 1 // 0, [(k,) for k in range(9)], THREADS, "numbers"))
    assert not thread_pool.in_worker()
    thread_pool.go_on()


def test_the_limits_of_libraries_are_one_threads_at_a_time() -> None:
    def limits() -> dict[str, int]:
        return {x["filepath"]: x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"}

    def work(number: int) -> None:
        with one_thread():
            time.sleep(0.01 * number)  # the one that began first would end first
            assert set(limits().values()) == {1}

    before = limits(), warnings.filters[:]
    assert len(list(as_finished(work, [(0,), (1,), (2,)], THREADS, "limits"))) == 3
    assert (limits(), warnings.filters[:]) == before
