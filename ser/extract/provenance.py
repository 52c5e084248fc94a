"""Where features came from: device, threads, versions, time. Kept in the store; it is no part of its identity."""

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import ser
from ser.extract.encoder import Encoder

_PACKAGES = (
    "numpy",
    "h5py",
    "soundfile",
    "soxr",
    "librosa",
    "opensmile",
    "torch",
    "transformers",
    "tokenizers",
    "funasr",
)


def provenance(encoder: Encoder, jobs: int) -> dict[str, Any]:
    """Facts of this run: JSON-able."""
    own = {"batch_budget": encoder.budget, "probe": getattr(encoder, "probed", None)}
    return {**surroundings(encoder.device, jobs), **own}


def surroundings(device: str, jobs: int) -> dict[str, Any]:
    """Where and when something is computed, by which versions: JSON-able."""
    return {
        "ser": ser.__version__,
        "device": device,
        "jobs": jobs,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **_versions()},
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    """Versions of the packages that have a part in it, as far as they are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
