"""All checks, in the order in which a user reads them. What is slow runs at the same time, in processes of its own."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ser.extract.doctor import child, machine, packages, storage
from ser.extract.doctor.child import Outcome
from ser.extract.doctor.finding import Finding

APART = ("torch", "transformers", "funasr")  # these are imported by probes of their own


def examine(root: Path) -> Iterator[Finding]:
    """Look at everything.

    Args:
        root: the workspace.

    Yields:
        Findings as they come, in a fixed order.
    """
    wanted = packages.requirements()
    there = {r.package: packages.installed(r.package) for r in wanted}
    there |= {name: packages.installed(name) for name in packages.NEIGHBOURS}
    usable = machine.usable_cores()
    with storage.trial_folder(root) as trial, ThreadPoolExecutor(max(2, min(4, usable))) as pool:
        running = {name: pool.submit(*call) for name, call in _probes(there, trial).items()}
        yield packages.check_python()
        yield from _packages(wanted, there, running)
        yield machine.check_ffmpeg()
        torch = running["torch"].result() if "torch" in running else Outcome({}, "not installed")
        yield machine.check_gpu(torch, machine.cards(), "CUDA_VISIBLE_DEVICES" in os.environ)
        yield machine.check_bfloat16(torch, machine.processor())
        yield machine.check_threads(torch, os.environ, usable, os.cpu_count() or 1)
        yield from _caches(running["caches"].result())
        yield from _workspace(root, trial, running)


def _probes(there: dict[str, str | None], trial: Path | OSError) -> dict[str, tuple[Any, ...]]:
    """What to run, the longest first: name -> function and arguments. Nothing of a package that is not installed."""
    calls: dict[str, tuple[Any, ...]] = {}
    for package in ("funasr", "transformers"):
        if there.get(package):
            calls[package] = (child.try_imports, *packages.MODELS[package])
    if there.get("torch"):
        calls["torch"] = (child.run, "torch")
    light = [name for name, found in there.items() if found and name not in (*APART, *packages.NEIGHBOURS)]
    calls["light"] = (child.try_imports, *map(packages.module, light))
    neighbours = [name for name in packages.NEIGHBOURS if there[name]]
    if neighbours:
        calls["neighbours"] = (child.try_imports, *neighbours)
    calls["caches"] = (child.run, "caches")
    if isinstance(trial, Path):
        calls["store"] = (child.run, "store", str(trial))
    return calls


def _packages(
    wanted: list[packages.Requirement], there: dict[str, str | None], running: dict[str, Future[Outcome]]
) -> Iterator[Finding]:
    light = running["light"].result()
    for requirement in wanted:
        name, error = requirement.package, ""
        if there[name] and name == "torch":
            outcome = running["torch"].result()
            error = "" if "version" in outcome.values else outcome.error
        elif there[name] and name not in APART:
            error = light.values[packages.module(name)]
        yield packages.check_package(requirement, there[name], error)
    broken = []
    for name in packages.NEIGHBOURS:
        error = running["neighbours"].result().values[name] if there[name] else ""
        broken += [name] if error else []
        yield packages.check_neighbour(name, there[name], error)
    if there.get("funasr"):
        yield packages.check_distutils(_distutils())
    for package in packages.MODELS:
        if package in running:
            yield packages.check_models(package, running[package].result(), broken)


def _distutils() -> bool:
    try:
        return find_spec("distutils") is not None
    except Exception:  # setuptools' stand-in imports setuptools, which may be broken
        return False


def _caches(outcome: Outcome) -> Iterator[Finding]:
    for hub, folder in outcome.values.get("folders", {}).items():
        yield storage.check_cache(hub, Path(folder))
        yield storage.check_disk(f"{hub} disk", Path(folder))
    yield storage.check_weights(outcome)
    yield storage.check_offline(os.environ)


def _workspace(root: Path, trial: Path | OSError, running: dict[str, Future[Outcome]]) -> Iterator[Finding]:
    yield storage.check_workspace(root, trial)
    yield storage.check_disk("workspace disk", root)
    if isinstance(trial, Path):
        yield storage.check_file_system(trial)
        yield storage.check_store(running["store"].result())
