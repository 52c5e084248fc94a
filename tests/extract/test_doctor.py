"""`ser doctor`: each check's verdicts on facts that are given, one run with broken packages, and the command."""

import configparser
import json
import re
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ser.cli import main
from ser.extract.doctor import child, examine, machine, packages, storage
from ser.extract.doctor.child import Outcome
from ser.extract.doctor.finding import Finding
from ser.extract.doctor.packages import Requirement
from ser.extract.doctor.tested import PYTHONS, TESTED

ROOT = Path(__file__).parents[2]
GIB = 2**30
CARD = "NVIDIA H200, 570.1, 143771 MiB"
GPU = {"name": "NVIDIA H200", "memory": 139 * GIB, "capability": "9.0"}
CUDA = {"version": "2.13.0", "cuda": "13.0", "hip": None, "mps": False, "said": "", "gpus": [GPU], "product": ""}
CPU = {"version": "2.13.0+cpu", "cuda": None, "hip": None, "mps": False, "said": "", "gpus": [], "product": ""}


def fake(folder: Path, name: str, number: str, code: str) -> None:
    """An installed package whose import runs `code`."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    about = folder / f"{name}-{number}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


# Packages


def test_the_table_of_versions_is_that_of_the_constraints() -> None:
    parser = setup()
    unpinned = {"mlflow": TESTED["mlflow"]}  # it holds pyarrow back
    extras = [v for k, v in parser["options.extras_require"].items() if k not in ("all", "dev", *unpinned)]
    lines = "\n".join([parser["options"]["install_requires"], *extras]).splitlines()
    wanted = sorted({name[0].lower() for line in lines if (name := re.match(r"[\w.-]+", line))})
    pins: dict[str, tuple[str, ...]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if pin := re.match(r"([\w.-]+)==([^\s;]+)", line):
            pins[pin[1]] = (*pins.get(pin[1], ()), pin[2])
    expected = {name: pins[name] for name in wanted} | unpinned
    assert expected == TESTED, f"ser/extract/doctor/tested.py should have TESTED = {expected}"


def test_the_versions_of_python_are_those_of_the_classifiers() -> None:
    found = re.findall(r"Python :: (\d+)\.(\d+)", setup()["metadata"]["classifiers"])
    versions = [(int(a), int(b)) for a, b in found]
    assert (min(versions), max(versions)) == PYTHONS


def test_what_is_required_is_read_from_the_metadata() -> None:
    lines = [
        "torch>=2.5",
        'setuptools>=65; python_version >= "3.12" and extra == "encoders"',
        'funasr>=1.2; extra == "encoders"',
        'funasr>=1.2; extra == "all"',
        'pytest>=8; extra == "dev"',
    ]
    assert packages.parsed(lines, (3, 11)) == [Requirement("torch", "2.5"), Requirement("funasr", "1.2", "encoders")]
    assert Requirement("setuptools", "65", "encoders") in packages.parsed(lines, (3, 12))
    assert {r.package for r in packages.requirements()} <= set(TESTED)


def test_without_metadata_of_its_own_it_looks_for_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "requires", missing)
    assert Requirement("torch") in packages.requirements()


@pytest.mark.parametrize(
    ("python", "verdict"), [((3, 9), "problem"), ((3, 10), "ok"), ((3, 13), "ok"), ((3, 14), "note")]
)
def test_python(python: tuple[int, int], verdict: str) -> None:
    assert packages.check_python(python).verdict == verdict


@pytest.mark.parametrize(
    ("wanted", "found", "error", "verdict", "words"),
    [
        (Requirement("torch", "2.5"), "2.13.0+cpu", "", "ok", "2.13.0+cpu"),
        (Requirement("torch", "2.5"), "2.9.1", "", "note", "tested with 2.13.0"),
        (Requirement("torch", "2.5"), "2.4.1", "", "problem", "expected 2.5 or newer"),
        (Requirement("torch", "2.5"), None, "", "problem", "pip install 'torch>=2.5'"),
        (Requirement("torch", "2.5"), "2.13.0", "OSError: x", "problem", "cannot be imported: OSError: x"),
        (Requirement("funasr", "1.2", "encoders"), None, "", "note", "pip install 'ser[encoders]'"),
        (Requirement("scipy", "1.11"), "?", "", "note", "?"),
        (Requirement("new", "1.0"), "1", "", "ok", "1"),
    ],
)
def test_a_package(wanted: Requirement, found: str | None, error: str, verdict: str, words: str) -> None:
    finding = packages.check_package(wanted, found, error)
    assert finding.verdict == verdict
    assert words in finding.line()


def test_versions_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_metadata.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packages.installed("numpy") == version("numpy")
    assert packages.installed("without-metadata") == "?"
    assert packages.installed("no-such-package") is None


def test_torchaudio() -> None:
    assert packages.check_neighbour("torchaudio", None).verdict == "ok"
    assert packages.check_neighbour("torchaudio", "2.12.0").verdict == "ok"
    broken = packages.check_neighbour("torchaudio", "2.8.0", "OSError: libcudart")
    assert broken.verdict == "problem"
    assert "pip uninstall torchaudio" in broken.action


def test_distutils() -> None:
    assert packages.check_distutils(True, (3, 11)).found == "part of Python"
    assert packages.check_distutils(True, (3, 12)).found == "from setuptools"
    missing = packages.check_distutils(False, (3, 12))
    assert missing.verdict == "note"
    assert "pip install setuptools" in missing.action


@pytest.mark.parametrize(
    ("error", "broken", "words"),
    [
        ("OSError: libcudart", ["torchaudio"], "pip uninstall torchaudio"),
        ("ModuleNotFoundError: No module named 'distutils'", [], "pip install setuptools"),
        (f"{child.HANGS} 45 s", [], "busy"),
        ("ImportError: x", [], "--force-reinstall transformers"),
    ],
)
def test_model_classes(error: str, broken: list[str], words: str) -> None:
    outcome = Outcome({"transformers:Wav2Vec2Model": "", "transformers:BertModel": error})
    finding = packages.check_models("transformers", outcome, broken)
    assert finding.verdict == "problem"
    assert finding.found == f"BertModel cannot be imported: {error}"
    assert words in finding.action
    assert packages.check_models("funasr", Outcome({"a:B": ""})).verdict == "ok"
    of_funasr = packages.check_models("funasr", outcome, broken)  # nothing of ser fails without them
    assert of_funasr.verdict == "note"
    assert of_funasr.action.startswith("ser extracts without funasr's models")
    assert words.replace("transformers", "funasr") in of_funasr.action


# Probes in processes of their own


def test_a_package_that_ends_its_process_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "leaving.py").write_text("import sys\nprint('noise')\nsys.exit(5)")
    (tmp_path / "failing.py").write_text(
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise OSError('x') from e"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert child.try_imports("crashing", "json:loads", "leaving", "failing", "json:nothing").values == {
        "crashing": "ended by SIGKILL",
        "json:loads": "",
        "leaving": "SystemExit: 5",
        "failing": "ZeroDivisionError: division by zero",
        "json:nothing": "AttributeError: module 'json' has no attribute 'nothing'",
    }


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    start = time.perf_counter()
    outcome = child.run("imports", "json", "hanging", seconds=1.0)
    assert outcome == Outcome({"json": ""}, "did not end within 1 s")
    monkeypatch.setattr(child, "run", lambda *_: outcome)
    assert child.try_imports("json", "hanging", "csv").values == {
        "json": "",
        "hanging": "did not end within 1 s",
        "csv": "not tried: another package hangs",
    }
    assert time.perf_counter() - start < 10


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soundfile.py").write_text("raise OSError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", ".")])
    assert child.try_imports("soundfile").values == {"soundfile": ""}


# The machine


@pytest.mark.parametrize(
    ("torch", "cards", "hidden", "verdict", "words"),
    [
        (Outcome(CUDA), [CARD], False, "ok", "H200 (139 GiB, capability 9.0), driver 570.1, torch for CUDA 13.0"),
        (Outcome({**CUDA, "product": "RuntimeError: no kernel image"}), [CARD], False, "problem", "--device cpu"),
        (Outcome({**CUDA, "gpus": [], "said": "driver too old"}), [CARD], False, "problem", "driver too old"),
        (Outcome({**CUDA, "gpus": []}), [CARD], True, "note", "CUDA_VISIBLE_DEVICES"),
        (
            Outcome({k: v for k, v in CUDA.items() if k != "product"}, "ended by SIGSEGV"),
            [],
            False,
            "problem",
            "SIGSEGV",
        ),
        (Outcome(CPU), [CARD], False, "note", "build for CPUs"),
        (Outcome(CPU), [], False, "ok", "none; torch (for CPU)"),
        (Outcome({**CPU, "mps": True}), [], False, "ok", "--device mps"),
        (Outcome({}, "not installed"), [CARD], False, "problem", "H200"),
    ],
)
def test_gpu(torch: Outcome, cards: list[str], hidden: bool, verdict: str, words: str) -> None:
    finding = machine.check_gpu(torch, cards, hidden)
    assert finding.verdict == verdict
    assert words in finding.line()


def test_bfloat16(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16\n\nprocessor\t: 1\n")
    assert machine.processor(cpuinfo) == ["avx512_bf16", "amx_bf16"]
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert machine.processor(cpuinfo) == ["bf16"]
    cpuinfo.write_text("nothing of the kind\n")
    assert machine.processor(cpuinfo) == []
    fast = machine.check_bfloat16(Outcome({"bfloat16": 7.2}), ["amx_bf16"])
    assert "amx_bf16; a matrix product at 7.2 times float32's speed: --dtype bfloat16" in fast.found
    assert "keep --dtype float32" in machine.check_bfloat16(Outcome({"bfloat16": 0.015}), []).found
    assert machine.check_bfloat16(Outcome({}, "not installed"), []).verdict == "ok"


@pytest.mark.parametrize(
    ("threads", "usable", "cores", "verdict", "words"),
    [
        (2, 2, 2, "ok", "OMP_NUM_THREADS=2"),
        (64, 4, 64, "note", "set OMP_NUM_THREADS=4"),
        (4, 4, 64, "ok", "4 of 64 cores usable"),
        (None, 2, 2, "ok", "2 of 2 cores"),
    ],
)
def test_threads(threads: int | None, usable: int, cores: int, verdict: str, words: str) -> None:
    finding = machine.check_threads(Outcome({"threads": threads}), {"OMP_NUM_THREADS": "2"}, usable, cores)
    assert finding.verdict == verdict
    assert words in finding.line()


def test_the_default_of_jobs_counts_the_cores_that_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    from ser.parallel import cores

    assert cores() == machine.usable_cores()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cores() == machine.usable_cores() == 1


@pytest.mark.parametrize(
    ("script", "verdict"),
    [("echo ffmpeg version 7.1-static Copyright", "ok"), ("exit 1", "problem"), (None, "note")],
)
def test_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, verdict: str) -> None:
    if script is not None:
        (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = machine.check_ffmpeg()
    assert finding.verdict == verdict
    assert ("7.1-static" in finding.found) == (verdict == "ok")


# The workspace and the caches


def test_a_workspace(tmp_path: Path) -> None:
    with storage.trial_folder(tmp_path) as trial:
        assert isinstance(trial, Path)
        assert trial.parent == tmp_path
        assert storage.check_workspace(tmp_path, trial).verdict == "ok"
        assert storage.check_file_system(trial).verdict in ("ok", "note")
        (trial / "left").write_text("over")
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    with storage.trial_folder(tmp_path / "a" / "b") as trial:
        finding = storage.check_workspace(tmp_path / "a" / "b", trial)
    assert finding.verdict == "ok"
    assert "not there yet" in finding.found
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with storage.trial_folder(tmp_path / "file" / "work") as trial:
        assert "Not a directory" in storage.check_workspace(tmp_path / "file" / "work", trial).found

    def refuse(**_: Any) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(storage.tempfile, "mkdtemp", refuse)
    with storage.trial_folder(tmp_path) as trial:
        finding = storage.check_workspace(tmp_path, trial)
    assert finding.verdict == "problem"
    assert "Read-only file system" in finding.found
    assert "--workspace" in finding.action


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free", "verdict"), [(GIB // 10, "problem"), (2 * GIB, "note"), (200 * GIB, "ok")])
def test_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: Usage(300 * GIB, 300 * GIB - free, free))
    assert storage.check_disk("workspace disk", tmp_path / "not" / "yet").verdict == verdict


def test_a_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path.resolve()} nfs4 rw 0 0\nc /else tmpfs rw 0 0\n")
    assert storage.file_system(tmp_path / "mounts", mounts) == "nfs4"
    assert storage.check_file_system(tmp_path, mounts).found.startswith("nfs4; fsync and rename work")
    mounts.write_text(f"b {tmp_path.resolve()} tmpfs rw 0 0\n")
    assert "in memory" in storage.check_file_system(tmp_path, mounts).action
    monkeypatch.setattr(storage, "SLOW", 0.0)
    assert "Slow" in storage.check_file_system(tmp_path, tmp_path / "nothing").action

    def refuse(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.fsync", refuse)
    finding = storage.check_file_system(tmp_path)
    assert finding.verdict == "problem"
    assert "Invalid argument" in finding.found


def test_a_feature_store(tmp_path: Path) -> None:
    assert storage.check_store(Outcome({"hdf5": "2.0.0", "error": ""})).verdict == "ok"
    failed = storage.check_store(Outcome({"hdf5": "2.0.0", "error": "OSError: no locks available"}))
    assert failed.verdict == "problem"
    assert "no locks available" in failed.found
    assert storage.check_store(Outcome({}, "ModuleNotFoundError: No module named 'h5py'")).verdict == "problem"
    (tmp_path / "features").write_text("in the way")
    assert child.run("store", str(tmp_path)).values["error"].startswith(("NotADirectoryError", "FileExistsError"))


def test_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage.check_cache("ModelScope", tmp_path / "x").found.endswith("not there yet")
    assert storage.check_cache("ModelScope", tmp_path).found == str(tmp_path)
    monkeypatch.setattr(storage.os, "access", lambda *_: False)
    assert "HF_HOME" in storage.check_cache("Hugging Face", tmp_path).action


def test_weights() -> None:
    values: dict[str, Any] = {"held": ["bert"], "partial": [], "known": 35, "without": ["egemaps"]}
    assert storage.check_weights(Outcome(values)).found == "1 of 35 known checkpoints in the caches: bert"
    assert "egemaps need none" in storage.check_weights(Outcome({**values, "held": []})).action
    assert "incomplete: wavlm" in storage.check_weights(Outcome({**values, "partial": ["wavlm"]})).found
    assert storage.check_weights(Outcome({}, "OSError: x")).verdict == "note"


def test_models_in_the_hubs_caches_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, files in {"wavlm-base": ["config.json", "model.safetensors"], "wavlm-large": ["config.json"]}.items():
        model = tmp_path / "hub" / f"models--microsoft--{name}"
        (model / "snapshots" / "abc").mkdir(parents=True)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("abc")
        for file in files:
            (model / "snapshots" / "abc" / file).write_text("{}")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    values = child.run("caches").values
    assert values["folders"] == {"Hugging Face": str(tmp_path / "hub"), "ModelScope": str(tmp_path / "ms")}
    assert values["held"] == ["wavlm-base"]
    assert values["partial"] == ["wavlm-large"]
    assert "egemaps" in values["without"]


def test_offline() -> None:
    assert storage.check_offline({"HF_HUB_OFFLINE": "0"}).verdict == "ok"
    assert storage.check_offline({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "true"}).found == (
        "HF_HUB_OFFLINE=1, TRANSFORMERS_OFFLINE=true"
    )


# The command


def test_broken_packages_end_in_findings_and_exit_code_3(tmp_path: Path) -> None:
    """torchaudio as beside a CPU build of torch, an h5py of another ABI, a torch that crashes: found in one run."""
    broken, work = tmp_path / "broken", tmp_path / "work"
    work.mkdir()
    fake(broken, "torchaudio", "2.8.0", "raise OSError('libcudart.so.12: cannot open shared object file')")
    fake(broken, "h5py", "3.1.0", "raise ValueError('numpy.dtype size changed')")
    fake(broken, "torch", "2.4.0", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    code = f"import sys; sys.path.insert(0, {str(broken)!r}); from ser.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", "--workspace", str(work)], capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr[-500:]
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    findings = {f["name"]: f for f in said["findings"]}
    assert {"name", "verdict", "found", "action", "expected"} == set(findings["python"])
    problems = {name for name, f in findings.items() if f["verdict"] == "problem"}
    assert {"torchaudio", "h5py", "torch", "transformers models", "feature store", "gpu"} <= problems
    assert said["problems"] == len(problems)
    assert findings["funasr models"]["verdict"] == "note"
    assert "libcudart" in findings["torchaudio"]["found"]
    assert "SIGSEGV" in findings["torch"]["found"]
    assert "dtype size changed" in findings["feature store"]["found"]
    assert all(findings[name]["verdict"] != "problem" for name in ("numpy", "soundfile", "file system", "workspace"))
    assert all(findings[name]["action"] for name in problems)
    assert list(work.iterdir()) == []


def test_here_torch_and_the_store_work(tmp_path: Path) -> None:
    facts = child.run("torch")
    assert facts.error == ""
    assert facts.values["version"] == version("torch")
    assert facts.values["product"] == ""
    assert facts.values["bfloat16"] > 0
    assert child.run("store", str(tmp_path)).values["error"] == ""


def test_the_plan_leaves_out_what_is_not_installed(tmp_path: Path) -> None:
    there = {"torch": None, "funasr": None, "transformers": "5", "numpy": "2", "torchaudio": None, "torchvision": "1"}
    plan = examine._probes(there, OSError(30, "Read-only file system"))
    assert list(plan) == ["transformers", "light", "neighbours", "caches"]
    assert plan["light"] == (child.try_imports, "numpy")
    assert plan["neighbours"] == (child.try_imports, "torchvision")
    assert examine._probes(there, tmp_path)["store"] == (child.run, "store", str(tmp_path))


WELL, NOTE = Finding("a", "ok", "1"), Finding("b", "note", "2")
ILL = Finding("c", "problem", "2", "Do it.", "3")


@pytest.mark.parametrize(
    ("findings", "options", "code", "printed"),
    [
        ([WELL, NOTE], [], 0, [WELL.line(), NOTE.line(), "problems: 0, notes: 1"]),
        ([WELL, ILL], [], 3, [WELL.line(), ILL.line(), "problems: 1, notes: 0"]),
        ([WELL, NOTE, ILL], ["--quiet"], 3, [ILL.line()]),
    ],
)
def test_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    options: list[str],
    code: int,
    printed: list[str],
) -> None:
    monkeypatch.setattr(examine, "examine", lambda _: iter(findings))
    assert main(["doctor", *options]) == code
    assert capsys.readouterr().out.splitlines() == printed


def test_lines() -> None:
    assert ILL.line() == f"problem  c{' ' * 20}2; expected 3. Do it."
    assert WELL.line() == f"ok       a{' ' * 20}1"


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(examine, "examine", lambda _: iter([WELL, NOTE]))
    assert main(["doctor", "--json", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["problems"], said["notes"]) == (0, 1)
    assert said["findings"][1] == {"name": "b", "verdict": "note", "found": "2", "action": "", "expected": ""}
