"""The place of a computation: versions, machine, commit; nothing that names a person, a host or a folder."""

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

from msgspec import UNSET, UnsetType

import ser
from ser.accelerator import ALL_GPUS, gpus
from ser.optional import installed
from ser.results.records.model import Environment

# Those that numbers depend on; llvmlite compiles kernels of large heads.
PACKAGES = ("torch", "numpy", "scipy", "h5py", "pandas", "scikit-learn", "llvmlite")


def environment(device: str = "cpu", trained: bool = True) -> Environment:
    """Describe the environment for a record.

    Args:
        device: the device of the computation: `cpu`, `cuda`, `cuda:1`.
        trained: false if the computation trained no network.

    Returns:
        A package that is not installed has the version None; so have `commit` and `modified` (of `ser`'s own git checkout)
        where it is installed without one.
    """
    commit, modified = _git()
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpus=os.cpu_count() or 1,
        ser=ser.__version__,
        packages={name: _version(name) for name in PACKAGES},
        commit=commit,
        modified=modified,
        device=_device(device),
        kernels=_kernels(device) if trained else UNSET,
    )


_version = cache(installed)  # each record asks again


def _kernels(device: str) -> bool | UnsetType:
    """True where large heads are trained by compiled kernels on this device; UNSET in a process that trains none."""
    module = sys.modules.get("ser.train.nn.inplace_gradients")
    return UNSET if module is None else device == "cpu" and module.are_compiled()


def _device(name: str) -> str:
    torch = sys.modules.get("torch")  # a process that trained on a GPU has imported it
    if torch is None or not name.startswith("cuda"):
        return name
    own = gpus() if name == ALL_GPUS else [name]
    return f"{name} ({', '.join(dict.fromkeys(torch.cuda.get_device_name(gpu) for gpu in own))})"


@cache
def _git() -> tuple[str | None, bool | None]:
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _run(root, "rev-parse", "HEAD")
        return commit, bool(_run(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _run(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    unlocked = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a look at the repository must not get in the way of its owner
    done = subprocess.run(command, env=unlocked, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
