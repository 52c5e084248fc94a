"""The machine: ffmpeg, GPU, the models in the hubs' caches, and the workspace."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser.audio.decoding import INSTALL_FFMPEG
from ser.extract.doctor.diagnosis import Diagnosis
from ser.extract.doctor.probes import ProbeResult, nearest

GIB = 2**30
SCARCE, LITTLE = GIB // 2, 5 * GIB  # free bytes: under which work fails soon; under which one large corpus may not fit
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def output_of(*command: str, seconds: float = 10.0) -> str | None:
    """The output of a program; None where it is not there or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True)
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
    offline = [
        f"{n}={environment[n]}" for n in OFFLINE if environment.get(n, "0").upper() in ("1", "TRUE", "YES", "ON")
    ]
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
