"""The hardware: GPU, bfloat16, cores and threads; and ffmpeg."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser.audio.decoding import INSTALL_FFMPEG
from ser.extract.doctor.child import Outcome
from ser.extract.doctor.finding import Finding

FASTER = 1.2  # from where on bfloat16 is called faster: less than that is noise
FEATURES = ("avx512_bf16", "amx_bf16", "bf16")  # of a processor; the last is Arm's


def said_by(*command: str, seconds: float = 10.0) -> str | None:
    """What a program prints; None where it is not there or fails."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def cards() -> list[str]:
    """NVIDIA's GPUs as their driver knows them: `name, driver's version, memory`, one each."""
    found = said_by("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return [line.strip() for line in (found or "").splitlines() if line.strip()]


def check_gpu(torch: Outcome, cards: Sequence[str], hidden: bool = False) -> Finding:
    """Whether torch computes on the GPU that is there.

    Args:
        torch: what the probe `torch` found.
        cards: the driver's GPUs.
        hidden: whether `CUDA_VISIBLE_DEVICES` says which of them may be used.
    """
    facts = torch.values
    if "product" not in facts:
        there = f"; the driver knows {'; '.join(cards)}" if cards else ""
        return Finding("gpu", "problem", f"torch cannot be asked: {torch.error}{there}", "See the line of torch")
    build = f"CUDA {facts['cuda']}" if facts.get("cuda") else f"ROCm {facts['hip']}" if facts.get("hip") else "CPU"
    if facts["product"]:
        action = "Install a build of torch for this GPU and driver; until then: --device cpu"
        return Finding("gpu", "problem", f"{_names(facts)}, torch for {build}: {facts['product']}", action)
    if facts.get("gpus"):
        driver = f", driver {cards[0].split(', ')[1]}" if cards and cards[0].count(", ") > 1 else ""
        return Finding("gpu", "ok", f"{_names(facts)}{driver}, torch for {build}, computes")
    if facts.get("mps"):
        return Finding("gpu", "ok", "Apple's, computes: --device mps")
    if cards and build == "CPU":
        action = "Install a build of torch with CUDA (docs/install.md), or go on without the GPU"
        return Finding("gpu", "note", f"{'; '.join(cards)}, but torch is a build for CPUs", action)
    if cards and hidden:
        return Finding("gpu", "note", f"{'; '.join(cards)}, hidden from torch", "To use it, unset CUDA_VISIBLE_DEVICES")
    if cards:
        action = "Update the driver, or install a build of torch for it"
        return Finding(
            "gpu",
            "problem",
            f"{'; '.join(cards)}, which torch for {build} does not see. {facts.get('said', '')}",
            action,
        )
    return Finding("gpu", "ok", f"none; torch (for {build}) computes on the CPU")


def _names(facts: Mapping[str, object]) -> str:
    gpus = facts.get("gpus")
    if not isinstance(gpus, list):
        return "Apple's"
    return "; ".join(f"{g['name']} ({g['memory'] / 2**30:.0f} GiB, capability {g['capability']})" for g in gpus)


def processor(path: Path = Path("/proc/cpuinfo")) -> list[str]:
    """The processor's instructions for bfloat16, as far as the system says."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        arm = said_by("sysctl", "-n", "hw.optional.arm.FEAT_BF16") == "1"
        return ["bf16"] if arm else []
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return [name for name in FEATURES if name in (line[1].split() if line else ())]


def check_bfloat16(torch: Outcome, instructions: Sequence[str]) -> Finding:
    """Whether `--dtype bfloat16` pays on the CPU: measured, since torch and the processor both have a say."""
    found = ", ".join(instructions) or "no instructions for it"
    ratio = torch.values.get("bfloat16")
    if ratio is None:
        return Finding("bfloat16 on CPU", "ok", found)
    measured = f"{found}; a matrix product at {ratio:.2g} times float32's speed"
    if ratio < FASTER:
        return Finding("bfloat16 on CPU", "ok", f"{measured}: keep --dtype float32")
    return Finding("bfloat16 on CPU", "ok", f"{measured}: --dtype bfloat16 is faster, its features differ by about 2 %")


def usable_cores() -> int:
    """Cores that this process may use: affinity and a container's share are counted."""
    try:
        from joblib import cpu_count

        return int(cpu_count())
    except Exception:  # not installed, or broken
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def check_threads(torch: Outcome, environment: Mapping[str, str], usable: int, cores: int) -> Finding:
    """Cores, and the threads that torch will start on them."""
    threads, wanted = torch.values.get("threads"), environment.get("OMP_NUM_THREADS")
    found = f"{usable} of {cores} cores usable" + (f", threads of torch: {threads}" if threads else "")
    found += f", OMP_NUM_THREADS={wanted}" if wanted else ""
    if threads and threads > usable:
        action = f"More threads than cores slow each other down: set OMP_NUM_THREADS={usable}"
        return Finding("threads", "note", found, action)
    return Finding("threads", "ok", found)


def check_ffmpeg() -> Finding:
    """ffmpeg, which reads what libsndfile does not."""
    said = said_by("ffmpeg", "-version")
    use = "reads MELD's mp4 files, m4a, aac and the like"
    if said:
        match = re.match(r"ffmpeg version (\S+)", said)
        return Finding("ffmpeg", "ok", f"{match[1] if match else 'there'}; {use}")
    if shutil.which("ffmpeg"):
        return Finding("ffmpeg", "problem", "does not run", INSTALL_FFMPEG, "a program that answers to -version")
    return Finding("ffmpeg", "note", f"not installed; it {use}", f"If you have such files: {INSTALL_FFMPEG}")
