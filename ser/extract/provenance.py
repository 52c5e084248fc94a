"""The surroundings of an extraction: packages that must be installed, their versions, device, machine and time.

Versions of what computes are part of a store's identity; the rest is kept in the store as its provenance.
"""

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version

import ser
from ser.files import JsonObject
from ser.optional import installed

_PACKAGES = ("numpy", "h5py", "soundfile", "soxr", "librosa", "opensmile", "torch", "transformers", "tokenizers", "funasr")


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of packages that must be there."""
    return {package: version(package) for package in packages}


def surroundings(device: str, jobs: int) -> JsonObject:
    """The machine, the time and the versions with which something is computed. JSON-able."""
    here = {package: found for package in _PACKAGES if (found := installed(package)) is not None}
    return {
        "ser": ser.__version__,
        "device": device,
        "jobs": jobs,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **here},
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
