"""Extraction in parts: the store is that of one process, a dead part is named, jobs of SLURM are watched and found again.

Here `sbatch` only answers, and the test does the jobs. A real SLURM is in tests/real/test_slurm.py.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.cli import main
from ser.errors import ConfigError, SerError
from ser.extract import extraction, spread
from ser.extract.request import ExtractionRequest
from ser.extract.spread import Part
from ser.features.stores.store import FeatureStore
from ser.workers import slurm
from ser.workers.engine import Engine
from ser.workers.sbatch import Allocation
from ser.workspace import Workspace

COUNT = 9


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a table of recordings, which are extracted in chunks of two."""
    for number in range(COUNT):
        path = tmp_path / "corpus" / ("anger" if number % 2 else "neutral") / f"u{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(0, 0.1, 4000 + 200 * number)
        soundfile.write(path, noise.astype(np.float32), 16000)
    space = tmp_path / "work"
    words = ["metadata", "--dataset", "mine", "--format", "folder", "--root", str(tmp_path / "corpus"), "--quiet"]
    assert main([*words, "--workspace", str(space)]) == 0
    monkeypatch.setattr(extraction, "AUDIO_CHUNK", 2)
    return Workspace(space)


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
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "RESULT_SECONDS", 0.0)
    return taken


class Queue:
    """The queue of SLURM: each look at it finds one job more that has ended, the last one after the parts."""

    def __init__(self, killed: tuple[int, ...] = ()) -> None:
        self.killed = killed
        self.left: list[str] | None = None

    def __call__(self, jobs: slurm.Jobs) -> dict[str, str]:
        from submitit.core.utils import DelayedSubmission, cloudpickle_dump

        every = [*jobs.parts, jobs.last]
        if self.left is None:
            self.left = list(every)
        elif self.left:
            job = self.left.pop(0)
            if every.index(job) in self.killed:
                jobs.log(job).write_text("begun\nslurmstepd: Exceeded job memory limit\n")
            else:
                try:
                    content = "success", DelayedSubmission.load(jobs.folder / f"{job}_submitted.pkl").result()
                except SerError as error:
                    content = "error", f"Traceback\nser.errors.SerError: {error}"
                cloudpickle_dump(content, jobs.result(job))
        return dict.fromkeys(self.left, "RUNNING")


def _values(store: Path) -> tuple[list[str], bytes]:
    with FeatureStore(store) as opened:
        return opened.ids, b"".join(np.ascontiguousarray(b.values).tobytes() for b in opened.blocks(opened.ids))


def _alone(work: Workspace, tmp_path: Path) -> tuple[list[str], bytes]:
    other = tmp_path / "alone"
    (other / "metadata").mkdir(parents=True)
    for file in work.table("mine").parent.glob("mine.*"):
        (other / "metadata" / file.name).write_bytes(file.read_bytes())
    words = ["extract", "--dataset", "mine", "--audio", "logmel", "--jobs", "1", "--quiet"]
    assert main([*words, "--workspace", str(other)]) == 0
    return _values(Workspace(other).store("mine", "logmel"))


Ser = Callable[..., int]


@pytest.fixture
def extract(work: Workspace) -> Ser:
    def run(*words: str) -> int:
        return main(["extract", "--dataset", "mine", "--audio", "logmel", *words, "--workspace", str(work.root)])

    return run


SLURM = ("--backend", "slurm", "--shards", "3")


def test_a_job_array_makes_the_store_of_one_process(
    work: Workspace,
    extract: Ser,
    sbatch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(slurm, "_states", Queue())
    monkeypatch.setattr(slurm, "LINE_SECONDS", 0.0)
    assert (
        extract(*SLURM, "--at-once", "2", "--partition", "long", "--time", "1:30:00", "--sbatch", "account=speech") == 0
    )
    said = capsys.readouterr()
    assert f"0 done, {COUNT} skipped, 0 failed" in said.out
    lines = re.findall(rf"3 parts: (\d) running, 0 waiting, (\d) ended.*; (\d) of at most {COUNT} utt", said.err)
    assert [line[:2] for line in lines] == [("3", "0"), ("2", "1"), ("1", "2"), ("0", "3")]
    assert 0 < int(lines[1][2]) < int(lines[2][2]) < COUNT == int(lines[3][2])
    assert _values(work.store("mine", "logmel")) == _alone(work, tmp_path)
    assert not list((work.root / slurm.FOLDER).iterdir())
    array, merge = ((sbatch / name).read_text() for name in ("7", "8"))
    for line in ("array=0-2%2", "partition=long", "time=90", "account=speech", "cpus-per-task=1", "requeue"):
        assert f"#SBATCH --{line}\n" in array
    assert "#SBATCH --dependency=afterany:7\n" in merge
    assert "--array" not in merge


def test_a_part_that_died_is_named_with_its_log_and_the_same_command_goes_on(
    work: Workspace,
    extract: Ser,
    sbatch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(slurm, "_states", Queue(killed=(1,)))
    assert extract(*SLURM) == 1
    said = capsys.readouterr().err
    assert "mine logmel: part 1 of 3 died; found slurmstepd: Exceeded job memory limit. Its log is" in said
    assert "7_1_0_log.out. What was done is kept; give the same command again" in said
    assert not work.store("mine", "logmel").exists()  # nothing was merged
    monkeypatch.setattr(slurm, "_states", Queue())
    assert extract(*SLURM) == 0
    assert _values(work.store("mine", "logmel")) == _alone(work, tmp_path)


def test_jobs_of_a_command_that_was_ended_are_watched_again(
    work: Workspace, extract: Ser, sbatch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue, looks = Queue(), iter([False, True])

    def interrupted(jobs: slurm.Jobs) -> dict[str, str]:
        if next(looks):
            raise KeyboardInterrupt
        return queue(jobs)

    monkeypatch.setattr(slurm, "_states", interrupted)
    assert extract(*SLURM) == 130
    assert "the jobs go on. The same command watches them again; scancel 7 8 ends them" in capsys.readouterr().err
    monkeypatch.setattr(slurm, "_states", queue)
    assert extract(*SLURM, "--time", "30") == 0
    assert len(list(sbatch.iterdir())) == 2  # none was submitted twice
    assert work.store("mine", "logmel").exists()


def test_a_queue_is_read_and_a_controller_that_does_not_answer_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = slurm.Jobs(["7_0", "7_1", "7_2"], "8", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "squeue"
    for text, states in {
        "echo 7_1 RUNNING; echo 7_2 PENDING; echo 8 PENDING": {"7_1": "RUNNING", "7_2": "PENDING", "8": "PENDING"},
        "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1": {},
        "echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1": None,
    }.items():
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        assert slurm._states(jobs) == states
    assert slurm.summary(jobs, {"7_1": "RUNNING", "7_2": "PENDING", "8": "PENDING"}) == (
        "3 parts: 1 running, 1 waiting, 1 ended"
    )


@pytest.mark.parametrize("content", [None, '{"parts": ["7_0",'])
def test_nothing_is_submitted_while_slurm_does_not_say_that_earlier_jobs_have_ended(
    content: str | None,
    work: Workspace,
    extract: Ser,
    sbatch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(_: slurm.Jobs) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "_states", interrupted)
    assert extract(*SLURM) == 130
    (folder,) = (work.root / slurm.FOLDER).iterdir()
    assert not list(folder.glob(".*.tmp"))
    if content is not None:
        (folder / slurm.JOBS).write_text(content)
    before = sorted(folder.iterdir())
    monkeypatch.setattr(slurm, "_states", lambda _: None)
    capsys.readouterr()
    assert extract(*SLURM) == 1
    expected = "SLURM does not answer: whether the jobs 7 8" if content is None else "jobs.json is damaged"
    assert expected in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
    assert len(list(sbatch.iterdir())) == 2
    if content is None:
        monkeypatch.setattr(slurm, "_states", Queue())
        assert extract(*SLURM) == 0
        assert len(list(sbatch.iterdir())) == 2


def test_the_watching_ends_where_slurm_never_answers(
    extract: Ser, sbatch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm, "FAILURES", 3)
    answers = iter([None, None, {"8": "PENDING"}, None, None, None])
    monkeypatch.setattr(slurm, "_states", lambda _: next(answers))
    assert extract(*SLURM) == 1
    assert "found none in 3 attempts. The jobs 7 8 go on" in capsys.readouterr().err


def test_the_printed_script_has_the_commands_of_the_parts_and_of_the_merge(
    work: Workspace, extract: Ser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work.root / "ser.yaml").write_text("extract: {backend: slurm, shards: 3, sbatch: [gpus=1], audio: logmel}\n")
    words = ["extract", "--dataset=mine", "--print", "--at-once=2", "--jobs", "1", "--workspace", str(work.root)]
    assert main(words) == 0
    script = capsys.readouterr().out
    array, merge = script.split("END\n)\n")
    for line in ("#SBATCH --array=0-2%2", "#SBATCH --gpus=1", "#SBATCH --requeue", "#SBATCH --cpus-per-task=1"):
        assert f"{line}\n" in array
    assert "--dependency=afterok:${array%%;*}" in merge
    commands = [line.partition(" -m ser ")[2] for line in script.splitlines() if " -m ser " in line]
    assert len(commands) == 2
    for number in range(3):
        assert main([*shlex.split(commands[0].replace("$SLURM_ARRAY_TASK_ID", str(number))), "--quiet"]) == 0
    assert main([*shlex.split(commands[1]), "--quiet"]) == 0
    assert _values(work.store("mine", "logmel")) == _alone(work, tmp_path)


def test_parts_on_a_cluster_and_on_all_gpus(
    work: Workspace, extract: Ser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[Engine] = []
    devices: list[str] = []

    def one_by_one(function: Any, units: Any, engine: Engine, what: str) -> Iterator[tuple[int, Any]]:
        engines.append(engine)
        for number, (part,) in enumerate(units):
            devices.append(part.request.device)
            on_cpu = Part(part.dataset, part.root, spread.replace(part.request, device="cpu"), part.workspace)
            yield number, function(on_cpu)

    monkeypatch.setattr(spread, "as_finished", one_by_one)
    assert extract("--backend", "dask", "--address", "10.0.0.1:8786", "--shards", "4", "--quiet") == 0
    assert engines == [Engine(1, "dask", "10.0.0.1:8786", work.root)]
    assert devices == ["auto"] * 4
    expected = _alone(work, tmp_path)
    assert _values(work.store("mine", "logmel")) == expected
    work.store("mine", "logmel").unlink()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(spread, "WHOLE_ON", "cpu")
    assert extract("--device", "cuda:all", "--jobs", "4", "--quiet") == 0
    assert engines[1:] == [Engine(2)]
    assert devices[4:] == ["cuda:0", "cuda:1"]
    assert _values(work.store("mine", "logmel")) == expected
    whole = Part("mine", None, ExtractionRequest(jobs=8), work)
    assert [p.request.jobs for p in spread.parts(whole, 3, ["cuda:0", "cuda:1", "cuda:2"])] == [2, 2, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shards", "2"], "--shards is for --backend slurm, dask or ray; found --backend here"),
        (["--backend", "dask", "--partition", "long"], "--partition is for --backend slurm; found --backend dask"),
        (["--backend", "slurm", "--address", "a:1"], "--address is for --backend dask or ray"),
        (["--backend", "slurm", "--shard", "0/2"], "--backend slurm makes the parts itself; found --shard"),
        (["--backend", "ray", "--overwrite"], "each part would remove what the others have written"),
        (["--backend", "slurm", "--device", "cuda:all"], "--device cuda:all is for one machine"),
        (["--device", "cuda:all"], "torch finds no GPU"),
        (["--print"], "--print is for --backend slurm"),
        (["--backend", "slurm", "--time", "soon", "--print"], "--time soon; expected minutes, or"),
        (["--backend", "slurm", "--sbatch", "2", "--print"], "--sbatch 2; expected KEY=VALUE"),
        (["--backend", "slurm", "--audio", "logmell"], "unknown"),
    ],
)
def test_options_that_contradict_each_other(
    words: list[str], said: str, extract: Ser, sbatch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(*words) == 1
    assert said in capsys.readouterr().err
    assert not list(sbatch.iterdir())


def test_jobs_that_slurm_refuses_and_no_slurm(sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = slurm.Work([int, int], int, tmp_path / "jobs", "numbers")
    program = tmp_path / "bin" / "sbatch"
    program.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: long' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"SLURM refuses the jobs; found .*invalid partition specified: long"):
        slurm.submit(work, Allocation("numbers", partition="long"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no srun here. Give the command on a machine of the cluster"):
        slurm.submit(work, Allocation("numbers"))
