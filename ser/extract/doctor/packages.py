"""The packages: their versions, and the test that they can be imported."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ser.extract.doctor.diagnosis import Diagnosis
from ser.optional import installed as installed

# transformers imports other packages when a class is used: torchaudio and torchvision too, where they are installed.
CLASSES = [f"transformers:{name}" for name in ("Wav2Vec2Model", "WhisperModel", "BertModel")]
BESIDE = "If the error names torchaudio or torchvision: pip uninstall torchaudio torchvision (not needed). Else: "
SLOW = ("torch",)  # it has a probe of its own
LATE = ("transformers", "modelscope")  # they import torch: where that ends the process, what others say is known before
UNCLEAR = ("did not end", "was not tried")


def wanted_packages(lines: Sequence[str] | None = None) -> dict[str, tuple[Requirement, str]]:
    """The packages that `ser` asks for on this Python, each with the extra that brings it ("": always needed).

    Those of its development are left out.

    Args:
        lines: of the metadata; None reads those of the installed `ser`.

    >>> wanted = wanted_packages(["torch>=2.5", 'opensmile; extra == "egemaps"', 'pytest; extra == "dev"'])
    >>> {name: extra for name, (_, extra) in wanted.items()}
    {'torch': '', 'opensmile': 'egemaps'}
    """
    found: dict[str, tuple[Requirement, str]] = {}
    if lines is None:
        lines = requires("ser") or [] if installed("ser") else []  # run from a folder it has no metadata
    for line in lines:
        requirement = Requirement(line)
        match = re.search(r'extra == "(\w+)"', str(requirement.marker))
        extra = match[1] if match else ""
        if extra != "dev" and (requirement.marker is None or requirement.marker.evaluate({"extra": extra})):
            found.setdefault(canonicalize_name(requirement.name), (requirement, extra))
    return found


@cache
def modules() -> dict[str, list[str]]:
    """Installed package -> the modules to import of it, by its metadata: a package's name is not its modules' name."""
    found: dict[str, list[str]] = {}
    for module, packages in packages_distributions().items():
        for package in {canonicalize_name(package) for package in packages}:
            found.setdefault(package, []).extend([] if module.startswith("_") else [module])
    # Some packages install their tests and examples as modules beside the one that is named like them.
    chosen = {p: [m for m in of_it if canonicalize_name(m) == p] or of_it for p, of_it in found.items()}
    return {**chosen, "transformers": CLASSES, **{package: [] for package in SLOW}}


def check_package(requirement: Requirement, extra: str, found: str | None, error: str = "") -> Diagnosis:
    """One package that `ser` asks for: the version that is installed, if one is, and the error of importing it."""
    name = canonicalize_name(requirement.name)
    if found is None and extra:
        return Diagnosis(name, "note", "not installed", f"Where you need it: pip install 'ser[{extra}]'")
    if found is None:
        return Diagnosis(name, "problem", "not installed", f"Install it: pip install '{requirement}'")
    if error.startswith(UNCLEAR):
        action = "The disk is slow, the machine is busy, or an import hangs: give ser doctor again."
        return Diagnosis(name, "note", f"{found}; its import {error}", action)
    if error:
        action = (BESIDE if name == "transformers" else "") + f"Install it again: pip install --force-reinstall {name}"
        return Diagnosis(name, "problem", f"{found} cannot be imported: {error}", action)
    if not requirement.specifier.contains(found, prereleases=True):
        asked = f"{name}{requirement.specifier}"
        return Diagnosis(name, "problem", f"{found}; expected {asked}", f"Update it: pip install '{asked}'")
    return Diagnosis(name, "ok", found)
