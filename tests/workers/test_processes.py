"""Worker processes: results in order, and their end with the command that started them, whatever ends it."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser.errors import SerError
from ser.workers import processes
from ser.workers.processes import in_order

PROC = Path("/proc")
# A command whose work is to wait in two worker processes, each of which leaves a file of its number.
WAITING = """
import os, time
import numpy as np
import ser.results.listing
from ser.cli import entry
from ser.workers.processes import in_order

def work(array, folder):
    (folder / str(os.getpid())).touch()
    time.sleep(300)

def waiting(results, quiet):
    array = np.zeros(1_000_000)  # goes to the workers as a file in shared memory
    list(in_order(work, [(array, results)] * 4, 2, "waiting"))

ser.results.listing.list_results = waiting
entry()
"""


def test_results_come_in_the_order_of_the_units() -> None:
    assert list(in_order(pow, [(k, 2) for k in range(5)], 2, "squares")) == [0, 1, 4, 9, 16]


def test_collections_in_a_worker_leave_out_what_it_imported_first() -> None:
    assert list(in_order(gc.isenabled, [(), ()], 2, "states")) == [True, True]
    assert min(in_order(gc.get_freeze_count, [(), ()], 2, "counts")) > 0


def test_a_worker_that_is_killed_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "AGAIN", 0)
    with pytest.raises(SerError, match="squares: a worker process was ended from outside"):
        list(in_order(signal.raise_signal, [(signal.SIGKILL,)], 2, "squares"))


# What copies of a process do. A test cannot be copied itself, as pytest's own workers have threads.
COPIES = """
import os, signal, threading
from pathlib import Path
from ser.errors import SerError
from ser.workers import processes
from ser.workers.processes import WorkerLost, as_finished, can_copy, in_order

class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__(first)

def failing(kind):
    raise kind("of a unit", 2) if kind is Unsendable else kind("of a unit")

def raised(function, *units):
    try:
        list(as_finished(function, units, 2, "squares"))
    except Exception as error:
        return error

def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

def threads(_):
    from threadpoolctl import threadpool_info
    import numpy
    return os.environ["OMP_NUM_THREADS"], max(pool["num_threads"] for pool in threadpool_info())

import numpy, torch

assert not can_copy()
os.environ["SER_FORK"] = "1"
assert can_copy()
del os.environ["SER_FORK"]
processes.allow_copies()
assert can_copy()
own = os.getpid()
power = lambda k: (k, k * k, os.getppid())  # which could not be sent
assert list(in_order(power, [(k,) for k in range(7)], 3, "squares")) == [(k, k * k, own) for k in range(7)]
assert sorted(as_finished(power, [(3,), (4,)], 9, "squares")) == [(0, (3, 9, own)), (1, (4, 16, own))]
assert list(in_order(power, [], 2, "squares")) == []
assert set(in_order(threads, [(k,) for k in range(2)], 2, "threads")) == {("1", 1)}
assert children() == []

error = raised(failing, (SerError,), (SerError,))
assert type(error) is SerError and "in failing" in str(error.__cause__)
error = raised(failing, (Unsendable,))
assert type(error) is RuntimeError and "Unsendable: of a unit" in str(error)
error = raised(lambda: (lambda: 0), ())
assert "pickle" in str(error) or "local object" in str(error), error

file = Path(os.environ["FOLDER"]) / "begun"
def once(number):
    with file.open("a") as begun:
        print(number, file=begun)
    if number == 1 and file.read_text().split().count("1") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
assert list(in_order(once, [(k,) for k in range(4)], 2, "numbers")) == [0, 1, 2, 3]
assert file.read_text().split().count("1") == 2
processes.AGAIN = 0
error = raised(signal.raise_signal, (signal.SIGKILL,))
assert type(error) is WorkerLost and error.found == "exit code -9", error

results = as_finished(power, [(k,) for k in range(5)], 2, "squares")
next(results)
assert len(children()) == 2
results.close()
assert children() == []

os.environ["SER_FORK"] = "0"
assert not can_copy()
del os.environ["SER_FORK"]
ended = threading.Event()
threading.Thread(target=ended.wait).start()
assert not can_copy()
ended.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_copies_of_a_process_do_its_work(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COPIES]
    done = subprocess.run(
        command, env={**os.environ, "SER_FORK": "", "FOLDER": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "numbers: a worker process was ended from outside, for want of memory perhaps. What was begun is done again by 2."
    ]


def _stat(pid: int) -> tuple[str, int] | None:
    """The state and the parent of a process; None for one that has ended."""
    try:
        words = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if words[0] == "Z" else (words[0], int(words[1]))


def _children(pid: int) -> list[int]:
    stats = {int(p.name): _stat(int(p.name)) for p in PROC.glob("[0-9]*")}
    direct = [p for p, stat in stats.items() if stat is not None and stat[1] == pid]
    return direct + [below for child in direct for below in _children(child)]


def _shared(pid: int) -> list[str]:
    return [p.name for p in Path("/dev/shm").iterdir() if f"_{pid}_" in p.name or f"-{pid}-" in p.name]


@contextmanager
def _command(workspace: Path, copies: bool) -> Iterator["subprocess.Popen[str]"]:
    """The command above, once both of its workers, which may be copies of it, are at work."""
    (workspace / "results").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "results", "list", "--workspace", str(workspace)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "SER_FORK": str(int(copies))},
    )
    try:
        until = time.monotonic() + 60
        while len(list((workspace / "results").iterdir())) < 2 and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not (PROC / "self" / "stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "group", "says"),
    [
        (signal.SIGTERM, False, "ended by SIGTERM"),
        (signal.SIGTERM, True, "ended by SIGTERM"),  # as batch systems do
        (signal.SIGHUP, True, "ended by SIGHUP"),  # as a terminal that is closed does
        (signal.SIGINT, True, "interrupted"),  # as the keyboard does
        (signal.SIGKILL, False, ""),
    ],
)
@pytest.mark.parametrize("copies", [False, True])
def test_workers_end_with_the_command(
    number: signal.Signals, group: bool, says: str, copies: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if copies and sys.platform != "linux":
        pytest.skip("processes are copied on Linux alone")
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which a suite under nohup would pass on
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, ignored))
    with _command(tmp_path, copies) as process:
        children = _children(process.pid)
        assert {int(p.name) for p in (tmp_path / "results").iterdir()} <= set(children)
        assert len(children) >= 2
        assert copies or _shared(process.pid)
        (os.killpg if group else os.kill)(process.pid, number)
        _, said = process.communicate(timeout=120)  # on a loaded machine the end alone takes half a minute
        until = time.monotonic() + 60
        while time.monotonic() < until and any(_stat(p) is not None for p in children):
            time.sleep(0.05)
        assert [p for p in children if _stat(p) is not None] == []
        assert _shared(process.pid) == []
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        first, *more = said.strip().splitlines()
        assert first == f"ser: {says}. What was done is kept; the same command goes on from there."
        # On a busy machine joblib's own process may find a lock that it has to remove, and says so.
        assert not more or "resource_tracker" in more[0]


def test_signals_that_are_ignored_stay_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    code = (
        "import os, signal\n"
        "import ser.results.listing\n"
        "from ser.cli import entry\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "def listed(folder, quiet):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    return [], []\n"
        "ser.results.listing.list_results = listed\n"
        "entry()\n"
    )
    words = ["results", "list", "--workspace", str(tmp_path)]
    assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == 0
