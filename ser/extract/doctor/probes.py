"""Probes: checks in processes of their own, as a package that crashes or hangs when imported must not end the doctor.

A probe yields dictionaries, a line of JSON each; the parent merges them: what came before a crash is not lost.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from ser.files import JsonObject, why

SECONDS = 120.0  # until a probe that does not end is given up
Values = Iterator[JsonObject]
# The same search path as here: `python -c` would put the current folder first, where any torch.py may lie.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ser.extract.doctor.probes import main; main(sys.argv[2], sys.argv[3:])"
)


@dataclass(frozen=True)
class ProbeResult:
    """The findings of a probe by name, and why it did not come to its end ("" where it did)."""

    values: JsonObject = field(default_factory=dict)
    error: str = ""


def run_probe(probe: str, *arguments: str, seconds: float = SECONDS) -> ProbeResult:
    """Run one of `PROBES` in a child process, without a network and with a limit in seconds."""
    command = [sys.executable, "-c", _CODE, json.dumps(sys.path), probe, *arguments]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=offline, check=False)
    except subprocess.TimeoutExpired as error:
        return ProbeResult(_values(error.stdout), f"did not end within {seconds:.0f} s")
    except OSError as error:
        return ProbeResult({}, f"cannot start a process: {why(error)}")
    return ProbeResult(_values(done.stdout), _ending(done.returncode, done.stderr))


def import_errors(targets: Sequence[str]) -> dict[str, str]:
    """Import each of `module` or `module:name`; target -> the error, empty where there is none."""
    result = run_probe("imports", *targets)
    left = [target for target in targets if target not in result.values]
    ended = dict.fromkeys(left[:1], result.error)
    return {**result.values, **dict.fromkeys(left, "was not tried: another import ended the trial"), **ended}


def _values(output: bytes | None) -> JsonObject:
    """The probe's lines as one dictionary; the last line may be cut off."""
    values: JsonObject = {}
    for line in (output or b"").splitlines():
        try:
            values |= json.loads(line)
        except ValueError:
            break
    return values


def _ending(code: int, errors: bytes) -> str:
    """The reason why a process did not end well; empty where it did."""
    if code < 0:
        names = {s.value: s.name for s in signal.Signals}
        return f"ended by {names.get(-code, f'signal {-code}')}"
    lines = errors.decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
    return lines[-1][:300] if code else ""


def main(probe: str, arguments: Sequence[str]) -> None:
    """Run a probe in this process and write what it yields; what libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        for values in PROBES[probe](*arguments):
            print(json.dumps(values), file=output, flush=True)


def imports(*targets: str) -> Values:
    """Import `module` or `module:name`; target -> what went wrong, empty where nothing did."""
    for target in targets:
        module, _, name = target.partition(":")
        try:
            found = import_module(module)
            if name and type(getattr(found, name)).__name__ == "DummyObject":
                getattr(found, name)()  # transformers' stand-in where it does not like torch: it says why
            yield {target: ""}
        except (Exception, SystemExit) as error:  # whatever a broken package raises
            yield {target: reason(error)}


def reason(error: BaseException) -> str:
    """The innermost cause: transformers wraps what another package raised."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def torch_at_work() -> Values:
    """torch's build and devices, and a product of matrices on the device that `--device auto` takes."""
    import torch

    mps = torch.backends.mps.is_available()
    yield {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}
    yield {"mps": mps}
    with warnings.catch_warnings(record=True) as remarks:  # only so torch says that a driver is too old
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    yield {"remark": " ".join(str(remarks[0].message).split())[:200] if remarks else ""}
    gpus = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count() if available else 0)]
    yield {"gpus": [f"{g.name} ({g.total_memory / 2**30:.0f} GiB, capability {g.major}.{g.minor})" for g in gpus]}
    yield {"product": _product("cuda" if available else "mps" if mps else "cpu")}


def _product(device: str) -> str:
    """The error of a product of matrices whose result is known; empty where it is right."""
    import torch

    try:
        ones = torch.ones(256, 256, device=device)
        return "" if bool(((ones @ ones) == 256).all().item()) else "a product of matrices is wrong"
    except Exception as error:  # no kernel for this device, a driver that fails, no memory
        return reason(error)


def nearest(path: Path) -> Path:
    """The path itself, or the nearest one above that exists and may be looked at."""
    path = path.absolute()
    existing = (p for p in (path, *path.parents) if os.path.exists(p))  # noqa: PTH110 (Path.exists may raise)
    return next(existing, path)


def store(root: str) -> Values:
    """Write a feature store as `ser extract` does, two shards and a merge, in a folder of the workspace, and read it back."""
    import h5py
    import numpy as np

    from ser.features.stores.layout import Facts, Record
    from ser.features.stores.store import FeatureStore
    from ser.features.stores.writer import StoreWriter

    yield {"hdf5": h5py.version.hdf5_version}
    records = [Record(f"u{i}", np.full((3, 4), i, np.float32), bytes(32)) for i in range(4)]
    try:
        with TemporaryDirectory(prefix=".ser-doctor-", dir=nearest(Path(root))) as folder:
            path = Path(folder) / "features" / "trial" / "trial.h5"
            with StoreWriter(path, Facts("trial", "audio", "frame", 4, {"encoder": "trial"})) as writer:
                writer.commit(records[:2])
                writer.commit(records[2:])
                writer.merge([r.id for r in records])
            with FeatureStore(path) as written:
                damaged = written.verify()
                same = all(np.array_equal(written[r.id], r.values) for r in records)
        yield {"error": "" if same and not damaged else "values differ from those written"}
    except Exception as error:  # of HDF5, of the file system, of locks
        yield {"error": reason(error)}


def weights() -> Values:
    """The hubs' caches, the encoders' checkpoints that are in them, whole or in part, and encoders that need none."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from ser import registry
    from ser.extract.checkpoints import missing
    from ser.extract.hubs import hugging_face_cache, mirror_cache, modelscope_cache
    from ser.extract.options import EncoderOptions

    modelscope = Path(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope").expanduser()
    yield {"folders": [str(HF_HUB_CACHE), str(modelscope)]}
    held: list[str] = []
    partial: list[str] = []
    known = 0
    plugins = registry.load_all("encoder")
    for plugin in plugins.values():
        for short, checkpoint in plugin.CHECKPOINTS.items():
            known += 1
            of_modelscope = checkpoint.hub.startswith("iic/")
            looks = (modelscope_cache, mirror_cache) if of_modelscope else (hugging_face_cache,)
            found = [f for look in looks if (f := look(checkpoint.hub, EncoderOptions())) is not None]
            if found:
                whole = any(missing(f.folder, getattr(plugin, "NEEDS", ())) is None for f in found)
                (held if whole else partial).append(short)
    without = [name for name, plugin in plugins.items() if not plugin.CHECKPOINTS]
    yield {"held": held, "partial": partial, "known": known, "without": without}


PROBES: dict[str, Callable[..., Values]] = {"imports": imports, "torch": torch_at_work, "store": store, "weights": weights}
