"""The same training in one process, two, two threads, on local clusters of Dask and Ray: numbers, time, lost workers.

    python benchmarks/scale.py WORKSPACE DATASET STORE [--runs 40] [--epochs 100] [--stack 10] [one loky threads dask ray]
    python benchmarks/scale.py WORKSPACE DATASET STORE one threads --fit "--text STORE --head cross_attention"

The workspace has a table and a store of utterance level. Each cluster has two worker processes on this machine, over TCP.
`loky-kill`, `dask-kill` and `ray-kill` end a worker by SIGKILL, twice, while it trains; `dask-lost` and `ray-lost` end the
scheduler (Ray's head), and give the command again when it is back. Prints a row for each, with seconds of the clock, and of the
processor but for a cluster, and says if all predictions are those of the first.
"""

import argparse
import hashlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PYTHON = sys.executable


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Dask:
    """A scheduler and two workers, each under a nanny, which starts it again."""

    def __init__(self) -> None:
        self.address = f"tcp://127.0.0.1:{_port()}"
        self.scheduler()

    def _start(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [PYTHON, "-m", f"distributed.cli.{module}", *words]
        return subprocess.Popen(command, cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def scheduler(self) -> None:
        port = self.address.rsplit(":", 1)[1]
        self.head = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        time.sleep(8)
        words = [self.address, "--nthreads", "1", "--nworkers", "2", "--no-dashboard"]
        self.nanny = self._start("dask_worker", *words)  # those of a scheduler that was lost end by themselves

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.nanny.pid).children(recursive=True)
        return [p for p in children if "spawn_main" in " ".join(p.cmdline())]

    def lose(self) -> None:
        self.head.kill()
        self.head.wait()

    def stop(self) -> None:
        for process in [*psutil.Process(self.nanny.pid).children(recursive=True), self.nanny, self.head]:
            process.kill()


class Ray:
    """A head with two cores."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{_port()}"
        self.scheduler()

    def scheduler(self) -> None:
        ray = [PYTHON, "-m", "ray.scripts.scripts", "start", "--head", "--port", self.address.rsplit(":", 1)[1]]
        ray += ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats", "--block"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.head = subprocess.Popen(ray, cwd=tempfile.gettempdir(), **quiet)  # type: ignore[call-overload]
        status = [PYTHON, "-m", "ray.scripts.scripts", "status", "--address", self.address]
        port = int(self.address.rsplit(":", 1)[1])
        token = {"RAY_AUTH_MODE": "token"} if (Path.home() / ".ray" / "auth_token").is_file() else {}
        for _ in range(60):  # on a busy machine it takes a minute until it takes work
            time.sleep(4)
            with socket.socket() as probe:
                listens = probe.connect_ex(("127.0.0.1", port)) == 0
            if listens and subprocess.run(status, env={**os.environ, **token}, **quiet).returncode == 0:  # type: ignore[call-overload]
                break

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.head.pid).children(recursive=True)
        return [p for p in children if p.cmdline() and p.cmdline()[0].startswith("ray::open_envelope")]

    def lose(self) -> None:
        self.stop()
        self.head.wait()

    def stop(self) -> None:
        for process in [*psutil.Process(self.head.pid).children(recursive=True), self.head]:
            process.kill()


def train(words: list[str], output: Path, more: list[str], disturb: object = None) -> tuple[float, int, str]:
    """Give the command: wall time in s, exit code, last line of its errors."""
    begun = time.perf_counter()
    command = [PYTHON, "-m", "ser", "fit", *words, "--output", str(output), "--quiet", *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if callable(disturb):
        disturb(process, output.with_suffix(""))
    _, said = process.communicate()
    return time.perf_counter() - begun, process.returncode, (said.strip().splitlines() or [""])[-1]


def recorded(folder: Path) -> int:
    return len(list(folder.glob("run-*.json")))


def numbers(folder: Path) -> str:
    """A hash of all predictions."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.glob("run-*") if p.suffix != ".json"):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:12]


def local_workers(parent: int) -> list[psutil.Process]:
    """The worker processes that joblib has started."""
    return [p for p in psutil.Process(parent).children(recursive=True) if "popen_loky" in " ".join(p.cmdline())]


def kill_two(cluster: Dask | Ray | None) -> object:
    """Kill a worker by SIGKILL when some runs are recorded, and another when more are."""

    def disturb(process: "subprocess.Popen[str]", folder: Path) -> None:
        for share in (1, 60):
            while process.poll() is None and recorded(folder) < share:
                time.sleep(0.1)
            workers = local_workers(process.pid) if cluster is None else cluster.workers()
            if workers:
                print(f"  killed {workers[0].pid} at {recorded(folder)} runs", flush=True)
                os.kill(workers[0].pid, signal.SIGKILL)

    return disturb


def lose_all(cluster: Dask | Ray) -> object:
    """End the scheduler when a run is recorded."""

    def disturb(process: "subprocess.Popen[str]", folder: Path) -> None:
        while process.poll() is None and recorded(folder) < 1:
            time.sleep(0.1)
        cluster.lose()

    return disturb


def main() -> None:
    """Train in each way, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("store")
    parser.add_argument("ways", nargs="*", default=["one", "loky", "dask", "ray"])
    parser.add_argument("--runs", default="40")
    parser.add_argument("--epochs", default="100")
    parser.add_argument("--stack", default="10", help="runs of one unit")
    parser.add_argument("--fit", default="--head mlp --head-option hidden=64", help="further words of ser fit")
    given = parser.parse_intermixed_args()
    words = ["--workspace", str(given.workspace), "--dataset", given.dataset, "--audio", given.store]
    words += ["--runs", given.runs, "--epochs", given.epochs, "--protocol", "speaker", "--folds", "6", "--stack", given.stack]
    words += ["--device", "cpu", *shlex.split(given.fit)]
    first = None
    for way in given.ways:
        backend, _, trouble = way.partition("-")
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / f"{way}.json"
            before = os.times()
            if backend in ("one", "loky", "threads"):
                more = ["--jobs", "1"] if backend == "one" else ["--jobs", "2", "--backend", backend]
                wall, code, said = train(words, output, more, kill_two(None) if trouble else None)
            else:
                cluster = Dask() if backend == "dask" else Ray()
                more = ["--backend", backend, "--address", cluster.address]
                try:
                    disturb = {"kill": kill_two, "lost": lose_all}[trouble](cluster) if trouble else None
                    wall, code, said = train(words, output, more, disturb)
                    if trouble == "lost":
                        done = recorded(output.with_suffix(""))
                        print(f"  scheduler ended; code {code} after {wall:.0f} s, {done} runs: {said}", flush=True)
                        cluster.scheduler()
                        wall, code, said = train(words, output, more)
                finally:
                    cluster.stop()
            found = numbers(output.with_suffix(""))
            first = first or found
            same = "same" if found == first else "OTHER"
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            print(
                f"{way:10} {wall:7.1f} s {used:7.1f} s  code {code}",
                f"{recorded(output.with_suffix(''))} runs  {found} {same}  {said}",
                flush=True,
            )


if __name__ == "__main__":
    main()
