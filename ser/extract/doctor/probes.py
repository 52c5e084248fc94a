"""What runs in a process of its own (`child`): imports, torch at work, a trial feature store, the models in the caches.

Each probe yields dictionaries, which the parent merges; what was yielded before a crash is not lost.
"""

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

Values = Iterator[dict[str, Any]]


def main(probe: str, arguments: Sequence[str]) -> None:
    """Run a probe and write what it yields, a line of JSON each; what libraries print goes to standard error."""
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
    """torch's build, threads and devices; a product of matrices on each kind of device, and in bfloat16."""
    import torch

    mps = torch.backends.mps.is_available()
    yield {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}
    yield {"threads": torch.get_num_threads(), "mps": mps}
    with warnings.catch_warnings(record=True) as said:  # torch says only so that a driver is too old
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    yield {"said": " ".join(str(said[0].message).split())[:200] if said else ""}
    yield {"gpus": [_gpu(index) for index in range(torch.cuda.device_count())] if available else []}
    yield {"product": _product("cuda" if available else "mps" if mps else "cpu")}
    torch.set_num_threads(1)
    yield {"bfloat16": _seconds(torch.float32) / _seconds(torch.bfloat16)}


def _gpu(index: int) -> dict[str, Any]:
    import torch

    facts = torch.cuda.get_device_properties(index)
    return {"name": facts.name, "memory": facts.total_memory, "capability": f"{facts.major}.{facts.minor}"}


def _product(device: str) -> str:
    """What goes wrong in a product of matrices whose result is known; empty where nothing does."""
    import torch

    try:
        ones = torch.ones(256, 256, device=device)
        return "" if bool(((ones @ ones) == 256).all().item()) else "a product of matrices is wrong"
    except Exception as error:  # no kernel for this device, a driver that fails, no memory
        return reason(error)


def _seconds(dtype: Any, size: int = 512) -> float:
    """The shortest of a few products of two matrices, after one that warms up."""
    import torch

    matrix = torch.ones(size, size, dtype=dtype)
    taken = []
    for _ in range(6):
        start = time.perf_counter()
        matrix @ matrix
        taken.append(time.perf_counter() - start)
        if taken[0] > 0.5:
            break
    return min(taken[1:] or taken)


def store(folder: str) -> Values:
    """Write a feature store as `ser extract` does, two shards and a merge, and read it back."""
    import h5py
    import numpy as np

    from ser.features.stores.layout import Facts, Record
    from ser.features.stores.store import FeatureStore
    from ser.features.stores.writer import StoreWriter

    yield {"hdf5": h5py.version.hdf5_version}
    path = Path(folder) / "features" / "trial" / "trial.h5"
    records = [Record(f"u{i}", np.full((3, 4), i, np.float32), bytes(32)) for i in range(4)]
    try:
        with StoreWriter(path, Facts("trial", "audio", "frame", 4, {"encoder": "trial"})) as writer:
            writer.commit(records[:2])
            writer.commit(records[2:])
            writer.merge([r.id for r in records])
        with FeatureStore(path) as written:
            damaged = written.verify()
            same = all(np.array_equal(written[r.id], r.values) for r in records)
        yield {"error": "" if same and not damaged else "what is read is not what was written"}
    except Exception as error:  # of HDF5, of the file system, of locks
        yield {"error": reason(error)}


def caches() -> Values:
    """The hubs' caches, and which of the known checkpoints are in them, whole or in part."""
    from ser import registry
    from ser.extract.checkpoints import missing
    from ser.extract.encoder import ENCODERS
    from ser.extract.hubs import hugging_face_cache, mirror_cache, modelscope_cache
    from ser.extract.options import EncoderOptions

    yield {"folders": {"Hugging Face": _hugging_face(), "ModelScope": _modelscope()}}
    held: list[str] = []
    partial: list[str] = []
    known = 0
    plugins = {name: registry.load(ENCODERS, name) for name in registry.names(ENCODERS)}
    yield {"without": [name for name, plugin in plugins.items() if not plugin.CHECKPOINTS]}
    for plugin in plugins.values():
        for short, checkpoint in plugin.CHECKPOINTS.items():
            known += 1
            of_modelscope = checkpoint.hub.startswith("iic/")
            looks = (modelscope_cache, mirror_cache) if of_modelscope else (hugging_face_cache,)
            found = [f for look in looks if (f := look(checkpoint.hub, EncoderOptions())) is not None]
            if found:
                whole = any(missing(f.folder, getattr(plugin, "NEEDS", ())) is None for f in found)
                (held if whole else partial).append(short)
    yield {"held": held, "partial": partial, "known": known}


def _hugging_face() -> str:
    try:
        return str(import_module("huggingface_hub.constants").HF_HUB_CACHE)
    except Exception:  # not installed, or broken: where it would be
        home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        return os.environ.get("HF_HUB_CACHE") or str(Path(home).expanduser() / "hub")


def _modelscope() -> str:
    return str(Path(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope").expanduser())


PROBES: dict[str, Callable[..., Values]] = {
    "imports": imports,
    "torch": torch_at_work,
    "store": store,
    "caches": caches,
}
