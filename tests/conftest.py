"""Parts that many tests need: one thread (workers are processes), and a workspace with features that tell emotions apart."""

import gc
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# What is large (torch, pandas, h5py) is imported where it is used: the process that only hands the tests to workers reads this
# file too.
from ser import outside, outside_modules, registry
from ser.cli import entry, main
from ser.workspace import Workspace

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
DATA = Path(__file__).parents[1] / "../shared/data"
PACKAGE = Path(__file__).parents[1] / "ser"
# Where bytecode is not written, each of the many processes that the suite starts compiles the whole package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# No test is of a power cut, and what a killed process had written stays: to wait for the disk is a tenth of the clock.
# `fstat` refuses what is not an open file, as `fsync` does. Processes that tests start have the real one.
os.fsync = os.fstat  # type: ignore[assignment]
os.environ["COLUMNS"] = "80"  # the width where there is no terminal, as in CI
# The same examples in every run of the suite: a change that is tested is judged by itself. A longer fuzz draws others.
# No limit is of the clock.
settings.register_profile("suite", deadline=None, derandomize="SER_FUZZ_EXAMPLES" not in os.environ)
settings.load_profile("suite")
# A shell without job control starts what it runs in the background with SIGINT ignored, and children inherit that: the
# tests that interrupt would then wait for nothing. A handler of Python's is reset to the default in children.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Modules last until the end, and a test leaves little: at Python's own thresholds collections of garbage take a tenth of the
# suite's processor time.
gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for no examples in the docstrings of tests, which have none."""
    return [found for found in (yield) if isinstance(found, pytest.Module)]


class Examples:
    """Looks for examples in docstrings only in the files of the package that have some."""

    @staticmethod
    def pytest_ignore_collect(collection_path: Path) -> bool | None:
        if collection_path.suffix != ".py" or PACKAGE not in collection_path.parents:
            return None
        return None if b">>> " in collection_path.read_bytes() else True


def pytest_configure(config: pytest.Config) -> None:
    """Let that hold outside of this folder too."""
    config.pluginmanager.register(Examples)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Where there is no bytecode yet, let one worker after another collect: all would compile the same package and tests."""
    import fcntl

    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if Path(__file__).with_name("train").joinpath("__pycache__").exists():
            fcntl.flock(lock, fcntl.LOCK_UN)
        return (yield)


def pytest_collection_finish() -> None:
    """Compute in one thread, and begin with few objects for the collector of garbage."""
    import torch

    torch.set_num_threads(1)
    leave_modules_out()


@pytest.hookimpl(trylast=True)  # when the fixtures are gone
def pytest_runtest_teardown() -> None:
    """Do so again after a test that was the first to import much, such as transformers."""
    if len(sys.modules) > modules_left_out + 100:
        leave_modules_out()


modules_left_out = 0


def leave_modules_out() -> None:
    """Let the collector of garbage pass over what is there now: with all modules, a single collection takes half a second."""
    global modules_left_out
    gc.collect()
    gc.freeze()
    modules_left_out = len(sys.modules)


MADE: dict[tuple[Any, ...], dict[str, bytes]] = {}  # what was asked for -> the files of it, made once a process


def once(folder: Path, names: list[str], key: tuple[Any, ...], make: Callable[[], None]) -> None:
    """Make files in a folder, or write those that were made of the same before."""
    if key in MADE:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in MADE[key].items():
            aside = folder / f".{name}.aside"
            aside.write_bytes(content)
            aside.replace(folder / name)
    else:
        make()
        MADE[key] = {name: (folder / name).read_bytes() for name in names}


class Maker:
    """Makes datasets in a workspace: a table, and stores of features whose means differ by emotion and speaker."""

    def __init__(self, root: Path) -> None:
        self.space = Workspace(root)

    def table(
        self, name: str, *, speakers: int = 6, each: int = 4, emotions: tuple[str, ...] = EMOTIONS, **facts: Any
    ) -> list[str]:
        """A table of `speakers x emotions x each` utterances; returns the emotion of each."""
        rows = [
            {
                "utterance_id": f"{name}-s{s}-{e}-{k}",
                "path": f"{s}/{e}{k}.wav",
                "emotion": e,
                "label": e,
                "speaker": f"s{s}",
                "gender": "female" if s % 2 else "male",
                "session": f"session{s // 2}",
                "text": f"sentence {k}",
                "split": ("train", "train", "train", "validation", "test", "test")[s % 6],
            }
            for s in range(speakers)
            for e in emotions
            for k in range(each)
        ]
        from ser.metadata.table import make_table, write_table

        path = self.space.table(name)
        key = ("table", name, speakers, each, emotions, repr(facts))

        def make() -> None:
            write_table(make_table(rows, name, {"corpus": "csv", **facts}), self.space)

        once(path.parent, [path.name, path.with_suffix(".json").name], key, make)
        return [r["emotion"] for r in rows]

    def store(
        self,
        dataset: str,
        name: str = "toy",
        *,
        modality: str = "audio",
        framewise: bool = False,
        vocabulary: int = 0,
        dim: int = 8,
        strength: float = 2.0,
        identity: dict[str, Any] | None = None,
        leave_out: int = 0,
        source: bytes = bytes(32),
        layers: tuple[float, ...] = (),
    ) -> None:
        """A store of a dataset: features are a vector of the emotion, times `strength`, plus noise.

        Args:
            layers: the strength of each layer, of a store of several.
        """
        facts = (modality, framewise, vocabulary, dim, strength, repr(identity), leave_out, source, layers)
        key = (dataset, name, *facts, self.space.table(dataset).read_bytes())
        path = self.space.store(dataset, name)
        values = {"modality": modality, "framewise": framewise, "vocabulary": vocabulary, "dim": dim}
        more = {"strength": strength, "identity": identity, "leave_out": leave_out, "source": source}
        more |= {"layers": layers}
        once(path.parent, [path.name], key, partial(self._store, dataset, name, **values, **more))

    def _store(
        self,
        dataset: str,
        name: str,
        *,
        modality: str,
        framewise: bool,
        vocabulary: int,
        dim: int,
        strength: float,
        identity: dict[str, Any] | None,
        leave_out: int,
        source: bytes,
        layers: tuple[float, ...],
    ) -> None:
        from ser.features.stores.layout import Facts, Record
        from ser.features.stores.writer import StoreWriter
        from ser.metadata.table import load_table

        frame = load_table(dataset, self.space).frame
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{dataset}{name}".encode()).digest()[:4], "little"))
        centres = np.random.default_rng(7).normal(size=(len(EMOTIONS), dim)) * strength
        records = []
        for row in range(len(frame) - leave_out):
            emotion = EMOTIONS.index(frame["emotion"].iloc[row]) if frame["emotion"].iloc[row] in EMOTIONS else 0
            frames = int(rng.integers(3, 9)) if framewise else 1
            if vocabulary:
                values: Any = (1 + emotion * 3 + rng.integers(0, 3, (frames, 1))).astype(np.int32)
            elif layers:
                each = [centres[emotion] / strength * s + rng.normal(size=dim) for s in layers]
                values = np.stack(each).astype(np.float32)[None]
            else:
                values = (centres[emotion] + rng.normal(size=(frames, dim))).astype(np.float32)
            records.append(Record(frame["utterance_id"].iloc[row], values if framewise else values[0], source))
        level = "frame" if framewise else "utterance"
        facts = Facts(name, modality, level, 1 if vocabulary else dim, identity or {"encoder": name}, 0, vocabulary)
        with StoreWriter(self.space.store(dataset, name), facts, overwrite=True) as writer:
            writer.commit(records)
            writer.merge([r.id for r in records])


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def maker_type() -> type[Maker]:
    """For workspaces that several tests share."""
    return Maker


@pytest.fixture
def real() -> Path:
    """The folder of real corpora; the test is skipped where it is not there."""
    if not DATA.is_dir():
        pytest.skip("the real corpora (../shared/data) are not here")
    return DATA


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[Any]]:
    """`with gpu() as device`: within, there is a simulated device `cuda`, see `simulated.py` beside this file."""
    spec = importlib.util.spec_from_file_location("ser_test_simulated", Path(__file__).with_name("simulated.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return partial(module.simulated_gpu, monkeypatch)


def forget_parts() -> None:
    """Let the next use of a part from outside look for it again."""
    from ser.results.records.kinds import _kinds, _schemas

    for cached in (
        outside._entry_points,
        outside.offered,
        outside._of_package,
        outside._of_reference,
        outside_modules._run,
        registry.names,
        _kinds,
        _schemas,
    ):
        cached.cache_clear()
    for name in [n for n in sys.modules if n.startswith(("my_", "zz_", "ser_example", "side_by_side"))]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `plugin`, the package of examples/plugin, and `site`, into which pip has installed it."""
    needs_installed("pip")
    needs_installed("setuptools")
    import fcntl

    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "example"  # installed once for all workers
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "site").exists():
            source = Path(__file__).parents[1] / "examples" / "plugin"
            ignored = shutil.ignore_patterns("build", "*.egg-info")
            shutil.copytree(source, root / "plugin", ignore=ignored, dirs_exist_ok=True)
            install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
            subprocess.run([sys.executable, *install, str(root / "part"), str(root / "plugin")], check=True)
            (root / "part").rename(root / "site")
    return root


@pytest.fixture
def with_example(installed_example: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of `installed_example`, whose parts `ser` finds meanwhile."""
    from joblib.externals.loky import get_reusable_executor

    monkeypatch.syspath_prepend(installed_example / "site")
    forget_parts()
    yield installed_example
    get_reusable_executor().shutdown(wait=True)  # its workers know the parts too, and later tests would use them
    forget_parts()


@pytest.fixture
def forked_workers() -> Iterator[None]:
    """Worker processes are forks of this one, which has imported all: to start by themselves takes each of them seconds.

    Work, results and errors travel as they do by default. tests/workers/test_processes.py has workers that start by themselves.
    """
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.backend.context import set_start_method

    get_reusable_executor().shutdown(wait=True)
    set_start_method("fork", force=True)
    yield
    get_reusable_executor().shutdown(wait=True)
    set_start_method(None, force=True)


class Copied:
    """A copy of this process that calls a function, as `subprocess.Popen` of a script: a new one would import for seconds.

    It has a session of its own, and says what it says into files. A command that is started is the same but for its start,
    which tests/workers/test_processes.py and tests/test_cli.py have.
    """

    def __init__(self, folder: Path, function: Callable[[], object]) -> None:
        """Call the function in the copy; the files are made in the folder."""
        self.files = [Path(mkstemp(dir=folder)[1]) for _ in range(2)]
        self.process = get_context("fork").Process(target=self._run, args=(function,))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid
        while self.poll() is None and os.getpgid(self.pid) != self.pid:  # signals to its session are to reach it
            time.sleep(0.001)

    def _run(self, function: Callable[[], object]) -> None:
        os.setsid()
        for number, file in enumerate(self.files, start=1):
            os.dup2(os.open(file, os.O_WRONLY), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        function()

    @classmethod
    def command(cls, folder: Path, words: list[str], before: Callable[[], object] = lambda: None) -> "Copied":
        """Run `ser` with these words, after a call that changes something in the copy alone."""

        def run() -> None:
            before()
            sys.argv = ["ser", *words]
            entry()

        return cls(folder, run)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.exitcode

    def ended(self, timeout: float) -> int | None:
        """The exit code, once it has ended."""
        self.process.join(timeout)
        return self.process.exitcode

    def said(self) -> tuple[str, str]:
        """What it has said on both streams."""
        out, err = (file.read_text() for file in self.files)
        return out, err


def copy_package(folder: Path) -> Path:
    """Copy the package to `folder/ser`, with its bytecode: who imports it compiles only what a test changes there."""
    unfinished = shutil.ignore_patterns("*.pyc.*")  # of another process, which is about to rename it
    return Path(shutil.copytree(PACKAGE, folder / "ser", ignore=unfinished))


def needs_installed(package: str, at_least: int = 0) -> None:
    """Skip a test without `package`, which it runs as another process.

    Only its version is asked for: as soon as `pip` is looked for (`find_spec` is enough), setuptools cannot be imported in
    that process anymore, and setuptools takes the place of a `distutils` that is there already.
    """
    try:
        found = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not in this environment")
    if int(found.split(".")[0]) < at_least:
        pytest.skip(f"{package} {at_least} or later is needed, and this is {found}")


def table_of_speech(root: Path) -> list[str]:
    """Make a corpus of six synthetic speakers and two emotions in a workspace, and its table `mine`; gives its options."""
    from ser.synthesis import make_corpus

    make_corpus(root / "corpus", seed=3, speakers=6, sentences=2, emotions=("ANG", "SAD"))
    common = ["--workspace", str(root), "--quiet"]
    assert main(["metadata", "--dataset", "mine", "--format", "cremad", "--root", str(root / "corpus"), *common]) == 0
    return common


def head_of_speech(root: Path) -> Path:
    """Make that corpus, its MFCC and an experiment `results/mine.json` with saved heads in a workspace; gives its folder."""
    common = table_of_speech(root)
    level = ["--level", "utterance", "--jobs", "1"]
    assert main(["extract", "--dataset", "mine", "--audio", "mfcc", *level, *common]) == 0
    options = ["--protocol", "speaker", "--folds", "3", "--runs", "1", "--jobs", "1", "--save"]
    assert main(["fit", *options, "--output", str(root / "results" / "mine.json"), *common]) == 0
    return root


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of SLURM that take jobs and do none: the folder has the scripts that were submitted."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    programs, taken = tmp_path / "bin", tmp_path / "submitted"
    taken.mkdir()
    programs.mkdir()
    count = f"$(($(ls {taken} | wc -l) + 7))"
    for name, text in {"srun": "exit 0", "sbatch": f"k={count}; cp $1 {taken}/$k; echo Submitted batch job $k"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    from ser.workers import slurm

    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "RESULT_SECONDS", 0.0)
    return taken
