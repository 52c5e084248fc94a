"""Python and the packages: their versions, whether they can be imported, and those known to break others."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from ser.extract.doctor.child import HANGS, Outcome
from ser.extract.doctor.finding import Finding
from ser.extract.doctor.tested import PYTHONS, TESTED

MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}  # where the module's name is not the package's
MODELS = {  # package -> what the encoders take from it
    "transformers": ("transformers:Wav2Vec2Model", "transformers:WhisperModel", "transformers:BertModel"),
    "funasr": ("funasr.models.emotion2vec.model:Emotion2vec",),
}
UNUSED = "ser extracts without funasr's models; its tests compare with them."
NEIGHBOURS = ("torchaudio", "torchvision")  # of torch: not needed, but imported by others where they are installed


@dataclass(frozen=True)
class Requirement:
    """A package that `ser` asks for.

    Attributes:
        package: its name, in lower case.
        minimum: the oldest version, or empty.
        extra: the extra that brings it; empty for one that is always needed.
    """

    package: str
    minimum: str = ""
    extra: str = ""


def requirements() -> list[Requirement]:
    """What the installed `ser` asks for on this Python, without what only its development needs."""
    try:
        lines = requires("ser") or []
    except PackageNotFoundError:  # run from a folder: what is missing shows when it is imported
        return [Requirement(name) for name in TESTED if find_spec(module(name)) is not None]
    return parsed(lines)


def parsed(lines: Sequence[str], python: tuple[int, int] = sys.version_info[:2]) -> list[Requirement]:
    """The lines of a package's metadata; the first of several for one package.

    >>> parsed(["torch>=2.5", 'opensmile>=2.5; extra == "egemaps"', 'pytest>=8; extra == "dev"'])[1]
    Requirement(package='opensmile', minimum='2.5', extra='egemaps')
    """
    found: dict[str, Requirement] = {}
    for line in lines:
        what, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", what.strip())
        minimum = re.search(r">=\s*([\d.]+)", what)
        extra = re.search(r"extra\s*==\s*[\"'](\w+)", marker)
        since = re.search(r"python_version\s*>=\s*[\"'](\d+)\.(\d+)", marker)
        if name is None or (extra and extra[1] == "dev") or (since and python < (int(since[1]), int(since[2]))):
            continue
        package = name[0].lower().replace("_", "-")
        found.setdefault(package, Requirement(package, minimum[1] if minimum else "", extra[1] if extra else ""))
    return list(found.values())


def module(package: str) -> str:
    """What a package is imported as."""
    return MODULES.get(package, package.replace("-", "_"))


def installed(package: str) -> str | None:
    """The version; None for a package that is not installed. One without metadata has the version `?`."""
    try:
        return version(package) or "?"
    except PackageNotFoundError:
        return "?" if _there(module(package)) else None


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def check_python(python: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """The version of Python."""
    text, (first, last) = ".".join(map(str, python)), PYTHONS
    expected = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    if python < first:
        return Finding("python", "problem", text, "Make a virtual environment with a newer Python.", expected)
    if python > last:
        return Finding("python", "note", text, "Not tested: where a package fails, take an older Python.", expected)
    return Finding("python", "ok", text)


def check_package(wanted: Requirement, found: str | None, error: str = "") -> Finding:
    """One package that `ser` asks for.

    Args:
        found: the version that is installed, if one is.
        error: what importing it raised.
    """
    what = f"'ser[{wanted.extra}]'" if wanted.extra else f"'{wanted.package}>={wanted.minimum or 0}'"
    if found is None:
        if wanted.extra:
            return Finding(wanted.package, "note", "not installed", f"Where you need it: pip install {what}")
        return Finding(wanted.package, "problem", "not installed", f"Install it: pip install {what}")
    if error:
        again = f"pip install --force-reinstall {wanted.package}"
        return Finding(wanted.package, "problem", f"{found} cannot be imported: {error}", f"Install it again: {again}")
    if wanted.minimum and found != "?" and numbers(found) < numbers(wanted.minimum):
        action = f"Update it: pip install '{wanted.package}>={wanted.minimum}'"
        return Finding(wanted.package, "problem", found, action, f"{wanted.minimum} or newer")
    tested = TESTED.get(wanted.package, ())
    if tested and found.partition("+")[0] not in tested:
        return Finding(wanted.package, "note", f"{found}; tested with {' and '.join(tested)}")
    return Finding(wanted.package, "ok", found)


def numbers(text: str) -> tuple[int, ...]:
    """A version's leading numbers, without zeros at the end, so that 2.5 is 2.5.0.

    >>> numbers("2.13.0+cpu") > numbers("2.5")
    True
    """
    release = re.match(r"[\d.]*", text)
    found = [int(part) for part in (release[0] if release else "").split(".") if part]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def check_neighbour(name: str, found: str | None, error: str = "") -> Finding:
    """torchaudio and torchvision: `ser` has no use for them, but other packages import them where they are installed."""
    if found is None:
        return Finding(name, "ok", "not installed, and not needed")
    if error:
        action = f"Remove it: pip uninstall {name} (ser does not need it; models of transformers and funasr fail by it)"
        return Finding(name, "problem", f"{found} cannot be imported: {error}", action, f"no {name}, or one that works")
    return Finding(name, "ok", f"{found}, not needed")


def check_distutils(there: bool, python: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """distutils, which funasr's emotion2vec imports: part of Python before 3.12, of setuptools since."""
    if there:
        return Finding("distutils", "ok", "part of Python" if python < (3, 12) else "from setuptools")
    action = f"{UNUSED} For those: pip install setuptools, and leave SETUPTOOLS_USE_DISTUTILS unset"
    return Finding("distutils", "note", "missing: funasr's emotion2vec imports it", action)


def check_models(package: str, outcome: Outcome, broken: Sequence[str] = ()) -> Finding:
    """The model classes that the encoders take from a package.

    Args:
        outcome: target -> what importing it raised.
        broken: those of `NEIGHBOURS` that cannot be imported.
    """
    name = f"{package} models"
    bad = {target.rpartition(":")[2]: error for target, error in outcome.values.items() if error}
    if not bad:
        return Finding(name, "ok", "can be imported")
    found = f"{', '.join(bad)} cannot be imported: {next(iter(bad.values()))}"
    cure = _cure(package, " ".join(bad.values()), broken)
    if package == "funasr":
        return Finding(name, "note", found, f"{UNUSED} For those: {cure}")
    return Finding(name, "problem", found, cure)


def _cure(package: str, errors: str, broken: Sequence[str]) -> str:
    if broken:
        return f"Remove what is in the way: pip uninstall {' '.join(broken)}"
    if "distutils" in errors:
        return "Install it: pip install setuptools"
    if HANGS in errors:
        return "The disk is slow or the machine is busy: give ser doctor again"
    return f"See the lines above; then: pip install --force-reinstall {package}"
