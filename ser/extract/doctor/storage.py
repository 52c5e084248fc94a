"""Where things are kept: the workspace, its file system, a trial feature store, the hubs' caches."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ser.extract.doctor.child import Outcome
from ser.extract.doctor.finding import Finding
from ser.workspace import writing

GIB = 2**30
SCARCE, LITTLE = GIB // 2, 5 * GIB  # free bytes: under which work fails soon; under which one large corpus may not fit
SLOW = 0.5  # s for one commit
IN_MEMORY = ("tmpfs", "ramfs")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def nearest(path: Path) -> Path:
    """The path itself, or the nearest one above that exists."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if _there(place)), path)


def _there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # not there, or behind a folder that may not be read
        return False
    return True


@contextmanager
def trial_folder(root: Path) -> Iterator[Path | OSError]:
    """A temporary folder in the workspace (or where it will be made), or why there can be none."""
    try:
        folder = tempfile.mkdtemp(prefix=".ser-doctor-", dir=nearest(root))
    except OSError as error:
        yield error
        return
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_workspace(root: Path, trial: Path | OSError) -> Finding:
    """Whether the workspace is there and can be written to."""
    if isinstance(trial, OSError):
        action = "Choose another folder with --workspace, or have its owner let you write."
        return Finding("workspace", "problem", f"cannot write in {nearest(root)}: {trial.strerror or trial}", action)
    if not _there(root):
        return Finding("workspace", "ok", f"{root.absolute()} is not there yet; it can be made")
    return Finding("workspace", "ok", f"{root.absolute()}, writable")


def check_disk(name: str, folder: Path) -> Finding:
    """The free space where a folder is, or will be."""
    try:
        free = shutil.disk_usage(nearest(folder)).free
    except OSError as error:
        return Finding(name, "note", f"free space is not known: {error.strerror}")
    found = f"{free / GIB:.1f} GiB free"
    if free < SCARCE:
        return Finding(
            name, "problem", found, f"Free some space at {nearest(folder)}.", f"{SCARCE / GIB:.1f} GiB or more"
        )
    if free < LITTLE:
        return Finding(name, "note", found, "Frame-level features of a corpus and models take gigabytes each.")
    return Finding(name, "ok", found)


def check_file_system(trial: Path, mounts: Path = Path("/proc/mounts")) -> Finding:
    """Whether files can be synchronised and renamed over older ones, as everything here is written, and how fast."""
    kind = file_system(trial, mounts)
    try:
        start = time.perf_counter()
        for text in ("old", "new"):
            with writing(trial / "file") as path:
                path.write_text(text)
        seconds = (time.perf_counter() - start) / 2
        if (trial / "file").read_text() != "new":
            raise OSError(None, "a file that was renamed over another is not there")
    except OSError as error:
        action = "Choose a workspace on a local disk with --workspace."
        return Finding(
            "file system", "problem", f"{kind}: {error.strerror or error}", action, "fsync and rename that work"
        )
    found = f"{kind}; fsync and rename work, {1000 * seconds:.0f} ms a commit"
    if kind in IN_MEMORY:
        return Finding("file system", "note", found, "It is in memory: what is written is gone after a restart.")
    if seconds > SLOW:
        return Finding("file system", "note", found, "Slow: extraction is faster in a workspace on a local disk.")
    return Finding("file system", "ok", found)


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system a folder is on, as far as the system says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "local or network"
    here, kinds = folder.resolve(), {}
    for point, kind in (line.split()[1:3] for line in lines if len(line.split()) > 2):
        kinds[Path(point.replace("\\040", " "))] = kind  # the last mount on a point is the one that is seen
    return next((kinds[place] for place in (here, *here.parents) if place in kinds), "unknown")


def check_store(outcome: Outcome) -> Finding:
    """Whether a feature store that was written is read back."""
    error = outcome.error or outcome.values.get("error", "")
    version = f"HDF5 {outcome.values['hdf5']}" if "hdf5" in outcome.values else "HDF5"
    if error:
        action = "If h5py is well, choose a workspace on a local disk with --workspace."
        return Finding("feature store", "problem", f"{version}: {error}", action, "to read what was written")
    return Finding("feature store", "ok", f"{version}; written and read there")


def check_cache(hub: str, folder: Path) -> Finding:
    """A hub's cache: where it is, and whether downloads can be kept in it."""
    variable = "HF_HOME" if hub == "Hugging Face" else "MODELSCOPE_CACHE"
    if not os.access(nearest(folder), os.W_OK):
        action = f"To download into another folder, set {variable}."
        return Finding(f"{hub} cache", "note", f"{folder} cannot be written to", action)
    return Finding(f"{hub} cache", "ok", f"{folder}" if _there(folder) else f"{folder}, not there yet")


def check_weights(outcome: Outcome) -> Finding:
    """Which of the encoders' known checkpoints are in the caches."""
    if "held" not in outcome.values:
        return Finding("weights", "note", f"the caches cannot be read: {outcome.error}")
    held, partial, known = (outcome.values[key] for key in ("held", "partial", "known"))
    found = f"{len(held)} of {known} known checkpoints in the caches" + (f": {', '.join(held)}" if held else "")
    if partial:
        action = "Without a network, complete them elsewhere (ser encoders NAME says how)."
        return Finding("weights", "note", f"{found}; incomplete: {', '.join(partial)}", action)
    if not held:
        action = f"{', '.join(outcome.values['without'])} need none; others are downloaded, or given by --weights DIR."
        return Finding("weights", "note", found, action)
    return Finding("weights", "ok", found)


def check_offline(environment: Mapping[str, str], names: Sequence[str] = OFFLINE) -> Finding:
    """Whether variables forbid downloads."""
    given = [f"{n}={environment[n]}" for n in names if environment.get(n, "").upper() in ("1", "TRUE", "YES", "ON")]
    if given:
        action = "Only what is in the caches or --weights is found; unset it to download."
        return Finding("offline", "note", ", ".join(given), action)
    return Finding("offline", "ok", f"no ({names[0]} is not set): what is missing is downloaded")
