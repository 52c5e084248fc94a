"""Extraction in parts: the store is that of one process, and a dead part is named.

The jobs of SLURM are simulated. A real one is in tests/real/test_slurm.py.
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
from ser.extract import extraction, spread
from ser.extract.request import ExtractionRequest
from ser.extract.spread import ExtractionPart
from ser.features.stores.store import FeatureStore
from ser.workers import command, slurm
from ser.workers.engine import Engine
from ser.workspace import Workspace
from tests.simulated import SlurmQueue, given_here

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
    monkeypatch.setattr(slurm, "_states", SlurmQueue())
    monkeypatch.setattr(slurm, "LINE_SECONDS", 0.0)
    assert extract(*SLURM, "--at-once", "2", "--partition", "long", "--time", "1:30:00", "--sbatch", "account=speech") == 0
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
    monkeypatch.setattr(slurm, "_states", SlurmQueue(killed=(1,)))
    assert extract(*SLURM) == 1
    said = capsys.readouterr().err
    assert "mine logmel: part 1 of 3 died; found slurmstepd: Exceeded job memory limit. Its log is" in said
    assert "7_1_0_log.out. What was done is kept; give the same command again" in said
    assert not work.store("mine", "logmel").exists()  # nothing was merged
    monkeypatch.setattr(slurm, "_states", SlurmQueue())
    assert extract(*SLURM) == 0
    assert _values(work.store("mine", "logmel")) == _alone(work, tmp_path)


def test_a_part_whose_recordings_all_fail_is_not_dead(
    work: Workspace, sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--dataset", "mine", "--audio", "logmel", "--workspace", str(work.root)]
    bad = [path for path in (tmp_path / "corpus").rglob("*.wav") if path.stem not in ("u0", "u1")]
    for path in bad:
        path.write_bytes(b"no audio")
    monkeypatch.setattr(command, "_given", given_here(capsys))
    monkeypatch.setattr(slurm, "_states", SlurmQueue())
    assert main(["slurm", "--shards", "5", "extract", *common]) == 3
    said = capsys.readouterr()
    assert f"0 done, 2 skipped, {len(bad)} failed" in said.out
    assert "died" not in said.err
    assert "failures.csv" in said.err
    assert len(_values(work.store("mine", "logmel"))[0]) == 2


def test_the_printed_script_has_the_commands_of_the_parts_and_of_the_merge(
    work: Workspace, extract: Ser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work.root / "ser.yaml").write_text("extract: {backend: slurm, shards: 3, sbatch: [gpus=1], audio: logmel}\n")
    words = ["extract", "--dataset=mine", "--print", "--at-once=2", "--jobs", "1", "--workspace", str(work.root)]
    assert main(words) == 0
    script = capsys.readouterr().out
    array, merge = script.split("END\n) || exit\n")
    for line in ("#SBATCH --array=0-2%2", "#SBATCH --gpus=1", "#SBATCH --requeue", "#SBATCH --cpus-per-task=1"):
        assert f"{line}\n" in array
    assert "--dependency=afterok:${array%%;*}" in merge
    commands = [line.partition(" -m ser ")[2].partition(" || ")[0] for line in script.splitlines() if " -m ser " in line]
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
            on_cpu = ExtractionPart(part.dataset, part.root, spread.replace(part.request, device="cpu"), part.workspace)
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
    assert extract("--device", "cuda:all", "--jobs", "2", "--quiet") == 0
    assert engines[1:] == [Engine(2)]
    assert devices[4:] == ["cuda:0", "cuda:1"]
    assert _values(work.store("mine", "logmel")) == expected
    whole = ExtractionPart("mine", None, ExtractionRequest(jobs=8), work)
    assert [p.request.jobs for p in spread.parts(whole, 3, ["cuda:0", "cuda:1", "cuda:2"])] == [2, 2, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shards", "2"], "--shards is for --backend slurm, dask or ray; found --backend here"),
        (["--backend", "dask", "--partition", "long"], "--partition is for --backend slurm; found --backend dask"),
        (["--backend", "slurm", "--address", "a:1"], "--address is for --backend dask or ray"),
        (["--backend", "slurm", "--shard", "0/2"], "--backend slurm makes the parts itself; found --shard"),
        (["--backend", "ray", "--overwrite"], "each part would remove what the others have written"),
        (["--backend", "slurm", "--device", "cuda:all"], "--device cuda:all starts a process for each GPU of this machine"),
        (["--device", "cuda:all"], "torch finds no GPU; expected a machine with GPUs. Take --device cpu."),
        (["--print"], "--print is for --backend slurm"),
        (["--backend", "slurm", "--time", "soon", "--print"], "--time soon; expected minutes, or"),
        (["--backend", "slurm", "--sbatch", "2", "--print"], "--sbatch 2; expected KEY=VALUE"),
        (["--backend", "slurm", "--text", "bertt"], "unknown"),
    ],
)
def test_options_that_contradict_each_other(
    words: list[str], said: str, extract: Ser, sbatch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(*words) == 2
    assert said in capsys.readouterr().err
    assert not list(sbatch.iterdir())
