"""All checks of `ser doctor`, in the order in which a user reads them: packages, then the machine.

Slow ones run at the same time, in processes of their own (`probes.py`).
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import requires
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ser
from ser.audio.decoding import INSTALL_FFMPEG
from ser.extract.doctor.probes import ProbeResult, import_errors, nearest, run_probe
from ser.optional import installed, modules_of_packages

# transformers imports other packages when a class is used: torchaudio and torchvision too, where they are installed.
CLASSES = [f"transformers:{name}" for name in ("Wav2Vec2Model", "WhisperModel", "BertModel")]
BESIDE = "If the error names torchaudio or torchvision: pip uninstall torchaudio torchvision (not needed). Else: "
SLOW = ("torch",)  # it has a probe of its own
LATE = ("transformers", "modelscope")  # they import torch: where that ends the process, what others say is known before
UNCLEAR = ("did not end", "was not tried")
GIB = 2**30
SCARCE, LITTLE = GIB // 2, 5 * GIB  # free bytes: under which work fails soon; under which one large corpus may not fit
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was checked: its name, the verdict, the finding, and the remedy where there is one.

    A note works, but with a restriction; a problem is something that makes a part of `ser` fail.
    """

    name: str
    verdict: Verdict
    found: str
    action: str = ""

    def line(self) -> str:
        """All in one line.

        >>> Diagnosis("soxr", "problem", "0.2; expected 0.3 or newer", "Install it.").line()
        'problem  soxr                 0.2; expected 0.3 or newer. Install it.'
        """
        text = self.found + (f". {self.action}" if self.action else "")
        return f"{self.verdict:<7}  {self.name:<19}  {' '.join(text.split())}"


def examine_installation(root: Path) -> Iterator[Diagnosis]:
    """Look at everything; `root` is the workspace."""
    wanted = wanted_packages()
    there = {name: installed(name) for name in wanted}
    targets = {name: modules().get(name, []) for name, found in there.items() if found}
    with ThreadPoolExecutor(2) as pool:
        order = [*(n for n in targets if n not in LATE), *(n for n in LATE if n in targets)]
        imports = pool.submit(import_errors, [t for n in order for t in targets[n]])
        torch = pool.submit(run_probe, "torch") if there.get("torch") else None
        weights = pool.submit(run_probe, "weights")
        store = pool.submit(run_probe, "store", str(root))
        yield Diagnosis("ser", "ok", f"{ser.__version__}, with Python {platform.python_version()}")
        of_torch = torch.result() if torch else ProbeResult({}, "not installed")
        for name, (requirement, extra) in wanted.items():
            errors = [error for target in targets.get(name, ()) if (error := imports.result()[target])]
            if name == "torch" and "version" not in of_torch.values:
                errors = [of_torch.error]
            yield check_package(requirement, extra, there[name], "; ".join(dict.fromkeys(errors)))
        yield check_ffmpeg()
        yield check_gpu(of_torch, cards(), "CUDA_VISIBLE_DEVICES" in os.environ)
        yield check_weights(weights.result(), os.environ)
        yield check_workspace(root, store.result())


def wanted_packages(lines: Sequence[str] | None = None) -> dict[str, tuple[Requirement, str]]:
    """The packages that `ser` asks for on this Python, each with the extra that brings it ("": always needed).

    Those of its development are left out.

    Args:
        lines: of the metadata; None reads those of the installed `ser`.

    >>> wanted = wanted_packages(["torch>=2.5", 'opensmile; extra == "egemaps"', 'pytest; extra == "dev"'])
    >>> {name: extra for name, (_, extra) in wanted.items()}
    {'torch': '', 'opensmile': 'egemaps'}
    """
    found: dict[str, tuple[Requirement, str]] = {}
    if lines is None:
        lines = requires("ser") or [] if installed("ser") else []  # run from a folder it has no metadata
    for line in lines:
        requirement = Requirement(line)
        match = re.search(r'extra == "(\w+)"', str(requirement.marker))
        extra = match[1] if match else ""
        if extra != "dev" and (requirement.marker is None or requirement.marker.evaluate({"extra": extra})):
            found.setdefault(canonicalize_name(requirement.name), (requirement, extra))
    return found


@cache
def modules() -> dict[str, list[str]]:
    """Installed package -> the modules to import of it, by its metadata: a package's name is not its modules' name."""
    found: dict[str, list[str]] = {}
    for package, names in modules_of_packages().items():
        found.setdefault(canonicalize_name(package), []).extend(name for name in names if not name.startswith("_"))
    # Some packages install their tests and examples as modules beside the one that is named like them.
    chosen = {p: [m for m in of_it if canonicalize_name(m) == p] or of_it for p, of_it in found.items()}
    return {**chosen, "transformers": CLASSES, **{package: [] for package in SLOW}}


def check_package(requirement: Requirement, extra: str, found: str | None, error: str = "") -> Diagnosis:
    """One package that `ser` asks for: the version that is installed, if one is, and the error of importing it."""
    name = canonicalize_name(requirement.name)
    if found is None and extra:
        return Diagnosis(name, "note", "not installed", f"Where you need it: pip install 'ser[{extra}]'")
    if found is None:
        return Diagnosis(name, "problem", "not installed", f"Install it: pip install '{requirement}'")
    if error.startswith(UNCLEAR):
        action = "The disk is slow, the machine is busy, or an import hangs: give ser doctor again."
        return Diagnosis(name, "note", f"{found}; its import {error}", action)
    if error:
        action = (BESIDE if name == "transformers" else "") + f"Install it again: pip install --force-reinstall {name}"
        return Diagnosis(name, "problem", f"{found} cannot be imported: {error}", action)
    if not requirement.specifier.contains(found, prereleases=True):
        asked = f"{name}{requirement.specifier}"
        return Diagnosis(name, "problem", f"{found}; expected {asked}", f"Update it: pip install '{asked}'")
    return Diagnosis(name, "ok", found)


def output_of(*command: str) -> str | None:
    """The output of a program; None where it is not there or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def cards() -> list[str]:
    """NVIDIA's GPUs as their driver knows them: `name, driver's version, memory`, one each."""
    found = output_of("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return [line.strip() for line in (found or "").splitlines() if line.strip()]


def check_gpu(torch: ProbeResult, cards: Sequence[str], hidden: bool = False) -> Diagnosis:
    """Check the GPU, and that torch computes on it; `hidden` where `CUDA_VISIBLE_DEVICES` says which may be used."""
    facts, known = torch.values, "; ".join(cards)
    if "product" not in facts:
        there = f"; the driver knows {known}" if cards else ""
        return Diagnosis("gpu", "problem", f"torch does not answer: {torch.error}{there}", "See the line of torch")
    build = f"CUDA {facts['cuda']}" if facts.get("cuda") else f"ROCm {facts['hip']}" if facts.get("hip") else "CPU"
    gpus = "; ".join(facts.get("gpus", ()))
    if facts["product"]:
        action = "Install a build of torch for this GPU and driver; until then: --device cpu"
        return Diagnosis("gpu", "problem", f"{gpus or 'GPU'}, torch for {build}: {facts['product']}", action)
    if gpus:
        driver = f", driver {cards[0].split(', ')[1]}" if cards and cards[0].count(", ") > 1 else ""
        return Diagnosis("gpu", "ok", f"{gpus}{driver}, torch for {build}, computes")
    if facts.get("mps"):
        return Diagnosis("gpu", "ok", "Apple's, computes: --device mps")
    if cards and build == "CPU":
        action = "Install a build of torch with CUDA (docs/install.md), or go on without the GPU"
        return Diagnosis("gpu", "note", f"{known}, but torch is a build for CPUs", action)
    if cards and hidden:
        return Diagnosis("gpu", "note", f"{known}, hidden from torch", "To use it, unset CUDA_VISIBLE_DEVICES")
    if cards:
        found = f"{known}, which torch for {build} does not see. {facts.get('remark', '')}"
        return Diagnosis("gpu", "problem", found, "Update the driver, or install a build of torch for it")
    return Diagnosis("gpu", "ok", f"none; torch (for {build}) computes on the CPU")


def check_ffmpeg() -> Diagnosis:
    """ffmpeg, which reads what libsndfile does not."""
    answer = output_of("ffmpeg", "-version")
    use = "reads MELD's mp4 files, m4a, aac and the like"
    if answer:
        match = re.match(r"ffmpeg version (\S+)", answer)
        return Diagnosis("ffmpeg", "ok", f"{match[1] if match else 'there'}; {use}")
    if shutil.which("ffmpeg"):
        return Diagnosis("ffmpeg", "problem", "does not run", INSTALL_FFMPEG)
    return Diagnosis("ffmpeg", "note", f"not installed; it {use}", f"If you have such files: {INSTALL_FFMPEG}")


def check_weights(result: ProbeResult, environment: Mapping[str, str]) -> Diagnosis:
    """The encoders' checkpoints that are in the caches, and variables that forbid to download the others."""
    if "held" not in result.values:
        return Diagnosis("weights", "note", f"the caches cannot be read: {result.error}")
    held, partial = result.values["held"], result.values["partial"]
    found = f"{len(held)} of {result.values['known']} known checkpoints in {' and '.join(result.values['folders'])}"
    found += (f": {', '.join(held)}" if held else "") + (f"; incomplete: {', '.join(partial)}" if partial else "")
    offline = [f"{n}={environment[n]}" for n in OFFLINE if environment.get(n, "0").upper() in ("1", "TRUE", "YES", "ON")]
    if offline:
        action = "Only what is in the caches or --weights is found; unset it to download."
        return Diagnosis("weights", "note", f"{found}; {', '.join(offline)}", action)
    if held and not partial:
        return Diagnosis("weights", "ok", found)
    action = f"Others are downloaded, or given by --weights DIR; {', '.join(result.values['without'])} need none."
    return Diagnosis("weights", "note", found, action)


def check_workspace(root: Path, result: ProbeResult) -> Diagnosis:
    """The workspace: its free space, and a feature store that was written there and read back, with locks and renames."""
    folder = nearest(root)
    free = shutil.disk_usage(folder).free
    error = result.error or result.values.get("error", "")
    found = f"{root.absolute()}{'' if folder == root.absolute() else ', not there yet'}; {free / GIB:.1f} GiB free"
    if error:
        action = "Choose a workspace on a local disk that you may write to with --workspace."
        return Diagnosis("workspace", "problem", f"{found}; a trial feature store cannot be kept: {error}", action)
    if free < SCARCE:
        action = f"Free some space at {folder}: {SCARCE / GIB:.1f} GiB or more."
        return Diagnosis("workspace", "problem", found, action)
    if free < LITTLE:
        action = "Frame-level features of a corpus and models take gigabytes each."
        return Diagnosis("workspace", "note", found, action)
    return Diagnosis("workspace", "ok", f"{found}; feature stores work there (HDF5 {result.values['hdf5']})")
