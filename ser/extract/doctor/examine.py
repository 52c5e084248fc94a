"""All checks, in the order in which a user reads them. Slow ones run at the same time, in processes of their own."""

import os
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ser
from ser.extract.doctor import machine, packages
from ser.extract.doctor.diagnosis import Diagnosis
from ser.extract.doctor.probes import ProbeResult, import_errors, run_probe


def examine_installation(root: Path) -> Iterator[Diagnosis]:
    """Look at everything; `root` is the workspace."""
    wanted = packages.wanted_packages()
    there = {name: packages.installed(name) for name in wanted}
    targets = {name: packages.modules().get(name, []) for name, found in there.items() if found}
    with ThreadPoolExecutor(2) as pool:
        order = [*(n for n in targets if n not in packages.LATE), *(n for n in packages.LATE if n in targets)]
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
            yield packages.check_package(requirement, extra, there[name], "; ".join(dict.fromkeys(errors)))
        yield machine.check_ffmpeg()
        yield machine.check_gpu(of_torch, machine.cards(), "CUDA_VISIBLE_DEVICES" in os.environ)
        yield machine.check_weights(weights.result(), os.environ)
        yield machine.check_workspace(root, store.result())
