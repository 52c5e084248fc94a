"""Jobs of SLURM: commands in parts, and jobs that are watched, found again, refused. What `sbatch` takes, the tests do.

A real SLURM is in tests/real/test_slurm.py.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ser.cli import main
from ser.errors import ConfigError, PartDone, SerError
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.fit import fit
from ser.train.runs import scheduler
from ser.workers import command, slurm
from ser.workers.command import SerCommand
from ser.workers.sbatch import Allocation, script
from tests.simulated import SlurmQueue, given_here

GIVEN = ["--audio", "a", "--epochs", "2", "--runs", "3", "--protocol", "official", "--head-option", "hidden=8"]


@pytest.fixture
def jobs(maker: Any, sbatch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Give `ser slurm OPTIONS fit ...`: its exit code, what it says, and the records of the runs, by name."""
    maker.table("toy")
    maker.store("toy", "a")
    monkeypatch.chdir(maker.space.root)

    monkeypatch.setattr(command, "_given", given_here(capsys))

    def give(*options: str, killed: tuple[int, ...] = ()) -> tuple[int, str, dict[str, bytes]]:
        monkeypatch.setattr(slurm, "_states", SlurmQueue(killed))
        code = main(["slurm", *options, "fit", "--dataset", "toy", *GIVEN, "--output", "slurm.json"])
        said = capsys.readouterr()
        return code, said.out + said.err, {p.name: p.read_bytes() for p in Path("slurm").glob("run-*")}

    return give


def test_a_fit_in_parts_is_that_of_one_process_and_the_same_command_goes_on(
    jobs: Callable[..., Any], maker: Any, sbatch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[int]] = []
    real = scheduler.train

    def counting(units: Any, *rest: Any) -> Any:
        trained.append([k for unit in units for k in unit.runs])
        return real(units, *rest)

    monkeypatch.setattr(scheduler, "train", counting)
    options = ["--shards", "2", "--at-once", "1", "--cpus", "3", "--sbatch", "mem=4G", "--time", "30"]
    code, said, found = jobs(*options, killed=(1,))
    assert code == 1
    assert "ser fit: part 1 of 2 died; found slurmstepd: Exceeded job memory limit" in said
    assert len(found) == 2  # of run 0: its record and its predictions
    code, said, again = jobs(*options)
    assert code == 0, said
    assert trained == [[0], [], [1, 2], []]
    assert "written: " in said  # the last job's words
    assert found.items() <= again.items()
    assert not list(Path(slurm.FOLDER).iterdir())
    array, last = ((sbatch / name).read_text() for name in ("7", "8"))
    for line in ("array=0-1%1", "time=30", "mem=4G", "cpus-per-task=3", "requeue", "job-name=ser-fit"):
        assert f"#SBATCH --{line}\n" in array
    assert "#SBATCH --dependency=afterany:7\n" in last
    alone = fit("toy", maker.space, audio="a", epochs=2, runs=3, protocol="official", head_options={"hidden": 8}, jobs=1)
    folder = maker.space.results / alone["experiment"]
    assert {p.name: p.read_bytes() for p in folder.glob("*.csv")} == {n: b for n, b in again.items() if n.endswith("csv")}


def test_a_command_without_parts_is_one_job(jobs: Callable[..., Any], sbatch: Path) -> None:
    code, _said, found = jobs()
    assert (code, len(found)) == (0, 6)
    (script,) = sbatch.iterdir()
    assert not {"--array", "--dependency"} & set(script.read_text().replace("=", " ").split())


def test_parts_of_few_shot_runs(maker: Any) -> None:
    for name in ("source", "target"):
        maker.table(name)
        maker.store(name)
    given: dict[str, Any] = {"protocol": "official", "runs": 2, "epochs": 2, "tune_epochs": 1, "jobs": 1, "shots": 1}
    given |= {"head_options": {"hidden": 8}, "methods": "finetune,linear"}
    alone = fewshot("target", "source", maker.space, output=maker.space.results / "alone.json", **given)
    runs = sorted(p.name for p in (maker.space.results / "alone").rglob("run-*"))
    for number in range(2):
        with pytest.raises(PartDone, match=rf"part {number}/2 is recorded. When all parts are \(0/2 to 1/2\)"):
            fewshot("target", "source", maker.space, shard=f"{number}/2", output=maker.space.results / "parts.json", **given)
    assert sorted(p.name for p in (maker.space.results / "parts").rglob("run-*")) == runs
    parts = fewshot("target", "source", maker.space, output=maker.space.results / "parts.json", **given)
    assert parts["methods"] == alone["methods"]


def test_the_printed_script_has_the_parts_and_the_whole(jobs: Callable[..., Any], sbatch: Path) -> None:
    Path("ser.yaml").write_text("slurm: {shards: 3, sbatch: [gpus=1]}\n")
    code, said, found = jobs("--print")
    assert (code, found) == (0, {})
    array = said.split("END\n) || exit\n")[0]
    assert "#SBATCH --array=0-2\n" in array
    assert "#SBATCH --gpus=1\n" in array
    part, whole = (shlex.split(line.partition(" -m ser ")[2]) for line in said.splitlines() if " -m ser " in line)
    assert whole[:5] == ["fit", "--jobs", "1", "--dataset", "toy"]
    assert part[: len(whole) + 2] == [*whole[:3], "--shard", "$SLURM_ARRAY_TASK_ID/3", *whole[3:]]
    assert not list(sbatch.iterdir())


@pytest.mark.parametrize(("code", "part"), [(0, 0), (3, 0), (1, 1)])
def test_a_printed_script_in_a_folder_whose_name_is_no_word(
    code: int, part: int, sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's 50%j"
    folder.mkdir()
    monkeypatch.chdir(folder)
    allocation = Allocation("numbers", partition="long nights", sbatch=("comment=#1 'of' 2",))
    text = script(["sh", "-c", f"pwd; echo $0 $*; exit {code}"], ["--", "a b"], 2, allocation, Path("logs"))
    program = tmp_path / "bin" / "sbatch"
    program.write_text(f'#!/bin/sh\nk=$(ls {sbatch} | wc -l); (echo "$@"; cat) > {sbatch}/$k; echo "$k;cluster"\n')
    subprocess.run(["bash"], input=text, text=True, check=True, cwd="/")
    array, last = ((sbatch / name).read_text() for name in "01")
    assert last.startswith("--dependency=afterok:0 --kill-on-invalid-dep=yes\n")
    words = [shlex.split(line.removeprefix("#SBATCH ")) for line in array.splitlines() if line.startswith("#SBATCH ")]
    assert ["--partition=long nights"] in words
    assert ["--comment=#1 'of' 2"] in words
    assert [f"--output={tmp_path}/it's 50%%j/logs/%A_%a.log"] in words
    assert (folder / "logs").is_dir()
    task = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    for job, ended, said in ((array, part, "--shard 1/2 -- a b"), (last, code, "-- a b")):
        body = job.partition("\n")[2]
        done = subprocess.run(["bash"], input=body, text=True, capture_output=True, env=task)
        assert (done.returncode, done.stdout) == (ended, f"{folder}\n{said}\n")


@pytest.fixture
def works(maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give `ser WORDS`, of which `slurm` is one: the work that it would submit."""
    found: list[Any] = []

    def run(work: Any, *_: Any) -> command.Ended:
        found.append(work)
        return command.Ended(0, "", [])

    def give(*words: str) -> Any:
        assert main([*words]) == 0
        return found[-1]

    monkeypatch.setattr(slurm, "run", run)
    monkeypatch.chdir(tmp_path)
    return give


def test_what_stands_before_the_command_is_handed_on_to_its_jobs(works: Callable[..., Any], tmp_path: Path) -> None:
    for name, rate in (("one.yaml", 0.5), ("two.yaml", 0.25)):
        (tmp_path / name).write_text(f"fit: {{lr: {rate}}}\n")
    fit = ["fit", "--dataset", "toy"]
    work = works("--config", "one.yaml", "--verbose", "slurm", "--shards", "2", "--workspace", "w", "--quiet", *fit)
    assert work.whole.words == (
        *("fit", "--workspace", "w", "--config", "one.yaml", "--quiet", "--verbose", "--jobs", "1"),
        *("--dataset", "toy"),
    )
    place = work.whole.words.index("--dataset")
    assert work.parts[1].words == (*work.whole.words[:place], "--shard", "1/2", *work.whole.words[place:])
    assert work.folder.parent == tmp_path / "w" / slurm.FOLDER
    own = works("--config", "one.yaml", "slurm", *fit, "--config", "two.yaml", "--jobs", "3")
    assert own.whole.words == (*fit, "--config", "two.yaml", "--jobs", "3")
    files = works("--config", "one.yaml", "slurm", "predict", "--model", "m", "--", "-a.wav").whole.words
    assert files[:3] == ("predict", "--config", "one.yaml")
    assert files[-2:] == ("--", "-a.wav")
    assert works("--config", "one.yaml", "slurm", "results", "list").whole.words[:3] == ("results", "--config", "one.yaml")


def test_the_same_jobs_are_those_of_the_same_work(
    works: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["slurm", "fit", "--dataset", "toy", "--workspace", str(tmp_path)]
    first = works(*words).folder
    assert works("--quiet", "slurm", "--cpus", "4", "--time", "9", *words[1:]).folder == first
    (tmp_path / "ser.yaml").write_text("fit: {lr: 0.5}\nresults: {}\n")
    second = works(*words).folder
    monkeypatch.chdir("/")
    third = works(*words).folder
    assert len({first, second, third}) == 3
    assert {folder.parent for folder in (first, second, third)} == {tmp_path / slurm.FOLDER}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fitt"], "unknown command 'fitt'"),
        (["fit", "--datset", "toy"], "No such option '--datset'"),
        (["fit", "--dataset", "toy", "--backend", "spark"], "'spark' is not one of 'loky', 'threads', 'dask', 'ray'"),
        (["--shards", "2", "results", "list"], "ser results has no --shard: it cannot be done in parts"),
        (["--shards", "2", "fit", "--dataset", "toy", "--shard", "0/2"], "Leave out --shard."),
        (["--shards", "2", "fit", "--dataset", "toy", "--halving", "2"], "ser fit --halving cannot be done in parts"),
        (["--shards", "2", "extract", "--dataset", "toy", "--overwrite"], "Leave out --shards, or --overwrite."),
        (["--config", "none.yaml", "fit", "--dataset", "toy"], "none.yaml"),
        (["--partition", "a\nb", "fit", "--dataset", "toy"], "a word of several lines cannot be in a script"),
        (["--print", "fit", "--dataset", "a\nEND\nb"], "a word of several lines cannot be in a script"),
        (["--at-once", "2", "fit", "--dataset", "toy"], "--at-once 2: there is one job"),
        (["--time", "soon", "fit", "--dataset", "toy"], "--time soon; expected minutes, or"),
    ],
)
def test_words_that_cannot_be_a_job(
    words: list[str],
    said: str,
    sbatch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["slurm", *words]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not list(sbatch.iterdir())


def test_a_command_in_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert SerCommand(("--version",))().output.startswith("ser, version")
    with pytest.raises(SerError, match=r"ser nonsense ended with exit code 2; found Error: unknown command 'nonsense'"):
        SerCommand(("nonsense",))()
    assert "unknown command 'nonsense'" in capsys.readouterr().err


@pytest.fixture
def numbers(sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[Any, str]]:
    """Do a piece of work in three parts: its result, and what was said."""

    def give() -> tuple[Any, str]:
        said: list[str] = []
        work = slurm.Work([int] * 3, str, tmp_path / "jobs", "numbers")
        try:
            return slurm.run(work, Allocation("numbers"), True, said.append), "\n".join(said)
        except (SerError, KeyboardInterrupt) as error:
            return error, "\n".join([*said, str(error)])

    return give


def _interrupted(_: slurm.Jobs) -> None:
    raise KeyboardInterrupt


def test_jobs_of_a_command_that_was_ended_are_watched_again(
    numbers: Callable[[], tuple[Any, str]], sbatch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, looks = SlurmQueue(), iter([False, True])
    monkeypatch.setattr(slurm, "_states", lambda jobs: _interrupted(jobs) if next(looks) else queue(jobs))
    assert "the jobs go on. The same command watches them again; scancel 7 8 ends them" in numbers()[1]
    monkeypatch.setattr(slurm, "_states", queue)
    assert numbers()[0] == ""
    assert len(list(sbatch.iterdir())) == 2  # none was submitted twice


def test_a_command_that_was_killed_while_it_submitted(
    numbers: Callable[[], tuple[Any, str]], sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Any, __: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(slurm, "Last", killed)
        assert isinstance(numbers()[0], KeyboardInterrupt)
    assert len(list(sbatch.iterdir())) == 1  # the parts alone
    monkeypatch.setattr(slurm, "_states", lambda _: {"7_0": "RUNNING"})
    assert "its jobs 7 have no last one that puts them together. scancel 7; then give the same command" in numbers()[1]
    queue, looks = SlurmQueue(), iter([True, False])
    monkeypatch.setattr(slurm, "_states", lambda jobs: {} if next(looks, False) else queue(jobs))
    assert numbers()[0] == ""
    assert len(list(sbatch.iterdir())) == 3


def test_equal_commands_at_once(
    numbers: Callable[[], tuple[Any, str]], sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    words = [sys.executable, "-c", hold, str(tmp_path / "jobs.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        said = numbers()[1]
        assert "the same command submits its jobs just now. Give it again in a minute, and it watches those." in said
        assert not list(sbatch.iterdir())
        other.kill()  # its lock ends with it
    lock = tmp_path / "jobs.lock"
    with monkeypatch.context() as patched:  # another has submitted, and removes its lock after this one has opened the file
        patched.setattr(slurm.fcntl, "flock", lambda *_: lock.unlink())
        assert "the same command submits its jobs just now" in numbers()[1]
    assert not list(sbatch.iterdir())
    queue, looks = SlurmQueue(), []

    def both_watch(jobs: slurm.Jobs) -> dict[str, str]:
        looks.append(jobs)
        if len(looks) == 2:
            assert numbers()[0] == ""  # it watches the same jobs to their end
        return queue(jobs)

    monkeypatch.setattr(slurm, "_states", both_watch)
    assert "the same command, given a second time, has had their result" in numbers()[1]
    assert len(list(sbatch.iterdir())) == 2


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
    content: str | None, numbers: Callable[[], tuple[Any, str]], sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "_states", _interrupted)
    numbers()
    folder = tmp_path / "jobs"
    assert not list(folder.glob(".*.tmp"))
    if content is not None:
        (folder / slurm.JOBS).write_text(content)
    before = sorted(folder.iterdir())
    monkeypatch.setattr(slurm, "_states", lambda _: None)
    expected = "SLURM does not answer: whether the jobs 7 8" if content is None else "jobs.json is damaged"
    assert expected in numbers()[1]
    assert sorted(folder.iterdir()) == before
    assert len(list(sbatch.iterdir())) == 2
    if content is None:
        monkeypatch.setattr(slurm, "_states", SlurmQueue())
        assert numbers()[0] == ""
        assert len(list(sbatch.iterdir())) == 2


def test_the_watching_ends_where_slurm_never_answers(
    numbers: Callable[[], tuple[Any, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "FAILURES", 3)
    answers = iter([None, None, {"8": "PENDING"}, None, None, None])
    monkeypatch.setattr(slurm, "_states", lambda _: next(answers))
    assert "found none in 3 attempts. The jobs 7 8 go on" in numbers()[1]


def test_jobs_that_slurm_refuses_and_no_slurm(sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = slurm.Work([int, int], int, tmp_path / "jobs", "numbers")
    program = tmp_path / "bin" / "sbatch"
    program.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: long' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"SLURM refuses the jobs; found .*invalid partition specified: long"):
        slurm.submit(work, Allocation("numbers", partition="long"))
    for name, fault in {"50%": "a % is in its name", "a\\b": "a backslash is in its name"}.items():
        with pytest.raises(ConfigError, match=f"cannot have the logs of SLURM: {fault}"):
            slurm.submit(slurm.Work([], int, tmp_path / name, "numbers"), Allocation("numbers"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no srun here. Give the command on a machine of the cluster"):
        slurm.submit(work, Allocation("numbers"))
