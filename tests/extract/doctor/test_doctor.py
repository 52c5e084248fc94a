"""`ser doctor`: each check's verdicts on facts that are given, one run with broken packages, and the command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

from ser.cli import main
from ser.extract.doctor import examine, probes
from ser.extract.doctor.examine import Diagnosis
from ser.extract.doctor.probes import ProbeResult

GIB = 2**30
CARD = "NVIDIA H200, 570.1, 143771 MiB"
GPU = "NVIDIA H200 (139 GiB, capability 9.0)"
CUDA = {"version": "2.13.0", "cuda": "13.0", "hip": None, "mps": False, "remark": "", "gpus": [GPU], "product": ""}
CPU = {"version": "2.13.0+cpu", "cuda": None, "hip": None, "mps": False, "remark": "", "gpus": [], "product": ""}


def fake(folder: Path, name: str, number: str, code: str, module: str = "") -> None:
    """An installed package whose import runs `code`."""
    module = module or name
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(code)
    about = folder / f"{name}-{number}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    (about / "top_level.txt").write_text(f"{module}\n")


@pytest.fixture
def fresh_modules(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, list[str]]]:
    """The modules of the packages as they are found now."""
    monkeypatch.setattr(examine, "modules", examine.modules.__wrapped__)
    return examine.modules


# Packages


def test_what_is_wanted_is_read_from_the_metadata() -> None:
    lines = [
        "click>=8.2",
        'tokenizers>=0.20; extra == "encoders"',
        'Some_Thing>=2; extra == "encoders"',
        'setuptools>=65; python_version >= "3.0" and extra == "encoders"',
        'other>=65; python_version >= "4" and extra == "encoders"',
        'pytest>=8; extra == "dev"',
        'tokenizers>=0.20; extra == "all"',
    ]
    found = {name: (str(r.specifier), extra) for name, (r, extra) in examine.wanted_packages(lines).items()}
    assert found == {
        "click": (">=8.2", ""),
        "tokenizers": (">=0.20", "encoders"),
        "some-thing": (">=2", "encoders"),
        "setuptools": (">=65", "encoders"),
    }
    here = examine.wanted_packages()
    assert {"torch", "numpy", "python-docx", "transformers"} <= set(here)
    assert not {"pytest", "mypy"} & set(here)


def test_without_metadata_of_its_own_it_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "installed", lambda _: None)
    assert examine.wanted_packages() == {}


def test_a_package_is_imported_by_the_names_of_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_modules: Callable[[], dict[str, list[str]]]
) -> None:
    here = fresh_modules()
    assert here["python-docx"] == ["docx"]
    assert here["scikit-learn"] == ["sklearn"]
    assert here["pyyaml"] == ["yaml"]
    assert here["matplotlib"] == ["matplotlib"]  # of several, the one that is named like it
    fake(tmp_path, "some.thing", "1.0", "", module="quite_another")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert fresh_modules()["some-thing"] == ["quite_another"]
    assert examine.installed("Some-Thing") == "1.0"
    assert examine.installed("no-such-package") is None


def test_every_package_that_is_wanted_here_has_modules_that_can_be_imported() -> None:
    there = [n for n in examine.wanted_packages() if examine.installed(n) and n not in examine.SLOW]
    assert all(examine.modules()[name] for name in there)
    light = [name for name in there if name in ("python-docx", "pyyaml", "soundfile", "click")]
    assert set(probes.import_errors([m for name in light for m in examine.modules()[name]]).values()) == {""}


@pytest.mark.parametrize(
    ("wanted", "extra", "found", "error", "verdict", "words"),
    [
        ("torch>=2.5", "", None, "", "problem", "pip install 'torch>=2.5'"),
        ("opensmile>=2.5", "egemaps", None, "", "note", "pip install 'ser[egemaps]'"),
        ("h5py>=3.10", "", "3.16", "OSError: x", "problem", "3.16 cannot be imported: OSError: x"),
        ("h5py>=3.10", "", "3.9.0", "", "problem", "expected h5py>=3.10"),
        ("h5py>=3.10", "", "3.10", "", "ok", "3.10"),
        ("torch>=2.5", "", "2.13.0.dev1+cpu", "", "ok", "2.13.0.dev1+cpu"),
        ("h5py>=3.10", "", "3.16", "did not end within 120 s", "note", "give ser doctor again"),
        ("h5py>=3.10", "", "3.16", "was not tried: x", "note", "its import was not tried"),
        ("transformers>=4", "encoders", "5", "OSError: torchvision", "problem", "pip uninstall torchaudio torchvision"),
    ],
)
def test_a_package(wanted: str, extra: str, found: str | None, error: str, verdict: str, words: str) -> None:
    diagnosis = examine.check_package(Requirement(wanted), extra, found, error)
    assert diagnosis.verdict == verdict
    assert words in diagnosis.line()


# Probes in processes of their own


def test_a_package_that_ends_its_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "leaving.py").write_text("import sys\nprint('noise')\nsys.exit(5)")
    (tmp_path / "failing.py").write_text("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise OSError('x') from e")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert probes.import_errors(["json:loads", "leaving", "failing", "json:nothing", "crashing", "csv"]) == {
        "json:loads": "",
        "leaving": "SystemExit: 5",
        "failing": "ZeroDivisionError: division by zero",
        "json:nothing": "AttributeError: module 'json' has no attribute 'nothing'",
        "crashing": "ended by SIGKILL",
        "csv": "was not tried: another import ended the trial",
    }


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(600)")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = probes.run_probe("imports", "json", "hanging", seconds=4.0)
    assert result == ProbeResult({"json": ""}, "did not end within 4 s")


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soundfile.py").write_text("raise OSError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", ".")])
    assert probes.import_errors(["soundfile"]) == {"soundfile": ""}


def test_here_torch_and_the_store_work(tmp_path: Path) -> None:
    facts = probes.run_probe("torch")
    assert facts.error == ""
    assert facts.values["version"].partition("+")[0] == version("torch").partition("+")[0]  # +cu130, +cpu
    assert facts.values["product"] == ""
    assert probes.run_probe("store", str(tmp_path)).values["error"] == ""
    assert list(tmp_path.iterdir()) == []


# The machine


@pytest.mark.parametrize(
    ("torch", "cards", "hidden", "verdict", "words"),
    [
        (ProbeResult(CUDA), [CARD], False, "ok", "H200 (139 GiB, capability 9.0), driver 570.1, torch for CUDA 13.0"),
        (ProbeResult({**CUDA, "product": "RuntimeError: no kernel image"}), [CARD], False, "problem", "--device cpu"),
        (ProbeResult({**CUDA, "gpus": [], "remark": "driver too old"}), [CARD], False, "problem", "driver too old"),
        (ProbeResult({**CUDA, "gpus": []}), [CARD], True, "note", "CUDA_VISIBLE_DEVICES"),
        (ProbeResult({"version": "2.13.0"}, "ended by SIGSEGV"), [], False, "problem", "SIGSEGV"),
        (ProbeResult(CPU), [CARD], False, "note", "build for CPUs"),
        (ProbeResult(CPU), [], False, "ok", "none; torch (for CPU)"),
        (ProbeResult({**CPU, "mps": True}), [], False, "ok", "--device mps"),
        (ProbeResult({}, "not installed"), [CARD], False, "problem", "H200"),
    ],
)
def test_gpu(torch: ProbeResult, cards: list[str], hidden: bool, verdict: str, words: str) -> None:
    diagnosis = examine.check_gpu(torch, cards, hidden)
    assert diagnosis.verdict == verdict
    assert words in diagnosis.line()


@pytest.mark.parametrize(
    ("script", "verdict"), [("echo ffmpeg version 7.1-static Copyright", "ok"), ("exit 1", "problem"), (None, "note")]
)
def test_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, verdict: str) -> None:
    if script is not None:
        (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    diagnosis = examine.check_ffmpeg()
    assert diagnosis.verdict == verdict
    assert ("7.1-static" in diagnosis.found) == (verdict == "ok")


# The workspace and the caches


def test_a_workspace_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    result = probes.run_probe("store", str(tmp_path / "a" / "b"))
    diagnosis = examine.check_workspace(tmp_path / "a" / "b", result)
    assert diagnosis.verdict in ("ok", "note")
    assert "not there yet" in diagnosis.found
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = probes.run_probe("store", str(tmp_path / "file" / "work"))
    diagnosis = examine.check_workspace(tmp_path / "file" / "work", result)
    assert diagnosis.verdict == "problem"
    assert "NotADirectoryError" in diagnosis.found
    assert "--workspace" in diagnosis.action
    failed = ProbeResult({"hdf5": "2.0.0", "error": "OSError: no locks available"})
    assert "no locks available" in examine.check_workspace(tmp_path, failed).found
    without = ProbeResult({}, "ModuleNotFoundError: No module named 'h5py'")
    assert examine.check_workspace(tmp_path, without).verdict == "problem"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free", "verdict"), [(GIB // 10, "problem"), (2 * GIB, "note"), (200 * GIB, "ok")])
def test_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(300 * GIB, 300 * GIB - free, free))
    well = ProbeResult({"hdf5": "2.0.0", "error": ""})
    diagnosis = examine.check_workspace(tmp_path / "not" / "yet", well)
    assert diagnosis.verdict == verdict
    assert f"{free / GIB:.1f} GiB free" in diagnosis.found


def test_weights() -> None:
    values: dict[str, Any] = {"folders": ["/a", "/b"], "held": ["bert"], "partial": [], "known": 35}
    values["without"] = ["egemaps"]
    whole = examine.check_weights(ProbeResult(values), {"HF_HUB_OFFLINE": "0"})
    assert (whole.verdict, whole.found) == ("ok", "1 of 35 known checkpoints in /a and /b: bert")
    assert "egemaps need none" in examine.check_weights(ProbeResult({**values, "held": []}), {}).action
    assert "incomplete: wavlm" in examine.check_weights(ProbeResult({**values, "partial": ["wavlm"]}), {}).found
    offline = examine.check_weights(ProbeResult(values), {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "true"})
    assert offline.verdict == "note"
    assert "HF_HUB_OFFLINE=1, TRANSFORMERS_OFFLINE=true" in offline.found
    assert examine.check_weights(ProbeResult({}, "OSError: x"), {}).verdict == "note"


def test_models_in_the_hubs_caches_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"wavlm-base": ["config.json", "model.safetensors", "preprocessor_config.json"]}
    for name, some in {**files, "wavlm-large": ["config.json"]}.items():
        model = tmp_path / "hub" / f"models--microsoft--{name}"
        (model / "snapshots" / "abc").mkdir(parents=True)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("abc")
        for file in some:
            (model / "snapshots" / "abc" / file).write_text("{}")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    values = probes.run_probe("weights").values
    assert values["folders"] == [str(tmp_path / "hub"), str(tmp_path / "ms")]
    assert values["held"] == ["wavlm-base"]
    assert values["partial"] == ["wavlm-large"]
    assert "egemaps" in values["without"]


# The command


def test_broken_packages_end_in_diagnoses_and_exit_code_3(tmp_path: Path) -> None:
    """An h5py of another ABI, a torch that crashes, a package with other modules: found in one run."""
    broken, work = tmp_path / "broken", tmp_path / "work"
    work.mkdir()
    fake(broken, "h5py", "3.1.0", "raise ValueError('numpy.dtype size changed')")
    fake(broken, "torch", "2.4.0", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    few = ("h5py", "torch", "transformers", "numpy", "soundfile", "python-docx", "soxr")  # all take half a minute
    code = (
        f"import sys; sys.path.insert(0, {str(broken)!r}); from ser.cli import main; from ser.extract.doctor import examine\n"
        f"wanted = examine.wanted_packages(); examine.wanted_packages = lambda: {{n: wanted[n] for n in {few}}}\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", "--workspace", str(work)], capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr[-500:]
    assert "Traceback" not in done.stderr
    printed = json.loads(done.stdout)
    findings = {f["name"]: f for f in printed["findings"]}
    assert {"name", "verdict", "found", "action"} == set(findings["ser"])
    problems = {name for name, f in findings.items() if f["verdict"] == "problem"}
    assert {"h5py", "torch", "workspace", "gpu"} <= problems
    assert printed["problems"] == len(problems)
    assert "SIGSEGV" in findings["torch"]["found"]
    assert findings["transformers"]["verdict"] == "problem"
    assert "dtype size changed" in findings["workspace"]["found"]
    assert all(findings[name]["verdict"] == "ok" for name in ("numpy", "soundfile", "python-docx", "soxr"))
    assert all(findings[name]["action"] for name in problems)
    assert list(work.iterdir()) == []


WELL, NOTE = Diagnosis("a", "ok", "1"), Diagnosis("b", "note", "2")
ILL = Diagnosis("c", "problem", "2; expected 3", "Do it.")


@pytest.mark.parametrize(
    ("diagnoses", "options", "code", "printed"),
    [
        ([WELL, NOTE], [], 0, [WELL.line(), NOTE.line(), "problems: 0, notes: 1"]),
        ([WELL, ILL], [], 3, [WELL.line(), ILL.line(), "problems: 1, notes: 0"]),
        ([WELL, NOTE, ILL], ["--quiet"], 3, [ILL.line()]),
    ],
)
def test_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    diagnoses: list[Diagnosis],
    options: list[str],
    code: int,
    printed: list[str],
) -> None:
    monkeypatch.setattr(examine, "examine_installation", lambda _: iter(diagnoses))
    assert main(["doctor", *options]) == code
    assert capsys.readouterr().out.splitlines() == printed


def test_lines() -> None:
    assert ILL.line() == f"problem  c{' ' * 20}2; expected 3. Do it."
    assert WELL.line() == f"ok       a{' ' * 20}1"


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(examine, "examine_installation", lambda _: iter([WELL, NOTE]))
    assert main(["doctor", "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["problems"], printed["notes"]) == (0, 1)
    assert printed["findings"][1] == {"name": "b", "verdict": "note", "found": "2", "action": ""}
