"""Each room imports only itself and rooms below it; heavy packages stay in the one room that needs them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ser

ROOT = Path(ser.__file__).parent
ROWS = [
    {
        "errors",
        "files",
        "optional",
        "registry",
        "outside",
        "outside_modules",
        "starter",
        "workspace",
        "progress",
        "workers",
        "accelerator",
        "jsonfile",
        "yaml_file",
    },
    {"audio"},
    {"metadata", "synthesis"},  # the demo's corpus is made from nothing but NumPy
    {"features"},
    {"audit"},
    {"results"},
    {"extract", "train"},
    {"predict", "explain"},
    {"evaluation", "export"},
    {"demo", "service", "checks"},
    {"commands"},
    {"cli", "starts"},
    {"__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(ROWS) for room in rooms}
RESULTS = [  # the rooms and files of `ser/results`
    {"records", "benchmarks"},
    {"metrics"},
    {"statistics"},
    {"stored"},
    {"blocks", "cells"},
    {"tables"},
    {"studies"},
    {"stored_result", "headlines"},
    {"listing", "comparison"},
    {"plotting"},
    {"report"},
    {"result", "loggers", "verification"},
]
RANK_IN_RESULTS = {room: rank for rank, rooms in enumerate(RESULTS) for room in rooms}
ENCODER_PACKAGES = {"transformers", "funasr", "opensmile", "librosa"}
FILES = sorted(ROOT.rglob("*.py"))


@cache
def imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """Dotted names that a module imports anywhere in it, in functions and for types too."""
    return [*_imports(source, module, is_package)]


def _imports(source: str, module: str, is_package: bool) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                base = ".".join([*parts[: len(parts) - node.level + is_package], *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("import_module", "load", "names")
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield node.args[0].value  # import_module("ser.x"), registry.load("ser.x", ...)


def faults(source: str, module: str, is_package: bool = False) -> list[str]:
    """The faults of a module's imports."""
    room = [*module.split("."), ""][1]
    found = []
    for name in imports(source, module, is_package):
        top, _, rest = name.partition(".")
        if top in ENCODER_PACKAGES and room != "extract":
            found.append(f"{module} imports {name}: only ser.extract may")
        if top != "ser" or not rest or room not in RANK:
            continue
        other, *within = rest.split(".")
        if room == other == "results" and module.count(".") > 1 and within:
            own, its = module.split(".")[2], within[0]
            if own != its and RANK_IN_RESULTS[its] >= RANK_IN_RESULTS[own]:
                found.append(f"{module} imports {name}: {own} is not above {its}")
        if other not in RANK:
            continue  # a name of ser/__init__.py itself, such as __version__
        if RANK[other] > RANK[room] or (RANK[other] == RANK[room] > 0 and other != room):
            found.append(f"{module} imports {name}: {room} is not above {other}")
    return found


def _module(path: Path) -> str:
    parts = ["ser", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_import_order() -> None:
    found = [f for p in FILES for f in faults(p.read_text(encoding="utf-8"), _module(p), p.name == "__init__.py")]
    assert found == []


def test_every_room_has_its_row() -> None:
    rooms = {_module(p).split(".")[1] for p in FILES if len(_module(p).split(".")) > 1}
    assert rooms <= set(RANK), f"new rooms: {sorted(rooms - set(RANK))}"
    within = {_module(p).split(".")[2] for p in FILES if _module(p).count(".") > 1 and _module(p).startswith("ser.results.")}
    assert within == set(RANK_IN_RESULTS), f"rooms of ser/results: {sorted(within ^ set(RANK_IN_RESULTS))}"


def circles(sources: dict[str, str]) -> list[tuple[str, ...]]:
    """The groups of modules that reach each other by imports, those in functions and for types too.

    Args:
        sources: text by name; a package under the name that ends in `.`, which is dropped.
    """
    names = {name.rstrip(".") for name in sources}
    ahead: dict[str, set[str]] = {}
    for name, source in sources.items():
        own, found = name.rstrip("."), set()
        for full in imports(source, own, name.endswith(".")):
            while full and full not in names:
                full = full.rpartition(".")[0]
            found.add(full)
        ahead[own] = found - {"", own}
    reached = {name: _reached(name, ahead) for name in ahead}
    return sorted(
        {tuple(sorted(n for n in beyond if name in reached[n])) for name, beyond in reached.items() if name in beyond}
    )


def _reached(name: str, ahead: dict[str, set[str]]) -> set[str]:
    found, left = set[str](), [name]
    while left:
        new = ahead[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_circle() -> None:
    modules = {_module(p) + ("." if p.name == "__init__.py" else ""): p.read_text(encoding="utf-8") for p in FILES}
    assert circles(modules) == []


def test_a_circle_is_found() -> None:
    inner = "import ser.a\ndef g():\n    from ser import b"
    types = "if TYPE_CHECKING:\n    from ser.e.f import F"
    sources = {"ser.": "", "ser.a": "import ser.c", "ser.c": inner, "ser.b": "import ser.a.f", "ser.d": "import ser.a"}
    found = circles(sources | {"ser.e.": "", "ser.e.f": "from . import g", "ser.e.g": types})
    assert found == [("ser.a", "ser.b", "ser.c"), ("ser.e.f", "ser.e.g")]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ser.train.experiments.fit", "from ser.extract.extraction import extract"),
        ("ser.train.experiments.fit", "def f():\n    import ser.extract.utterances"),
        ("ser.train.heads.mlp", "from ser.commands import _base"),
        ("ser.train.heads.mlp", "from ...extract import items"),
        ("ser.extract.extraction", "from ser.train.experiments.fit import fit"),
        ("ser.metadata.table", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ser.features import store"),
        ("ser.features.tensors", "from ser import results"),
        ("ser.results.metrics.gaps", "from ser.results.statistics.paired import compare"),
        ("ser.results.studies", "def f():\n    from ser.results.report import compose"),
        ("ser.results.stored.runs", "from importlib import import_module\nimport_module('ser.train.experiments.fit')"),
        ("ser.errors", "import ser.metadata.table"),
        ("ser.train.experiments.fit", "import transformers"),
        ("ser.commands.extract", "def f():\n    from transformers import AutoModel"),
        ("ser.features.stores.store", "import librosa.filters"),
    ],
)
def test_a_fault_is_found(module: str, source: str) -> None:
    assert len(faults(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ser.train.experiments.fit", "from ser.results.stored.runs import write_run\nimport torch\nfrom . import trainer"),
        ("ser.extract.encoders.wav2vec2", "import transformers"),
        ("ser.cli", "import ser\nser.__version__"),
        ("ser.registry", "from ser.errors import ConfigError"),
        ("ser.results.records.environment", "from ser import __version__"),
    ],
)
def test_what_is_right_passes(module: str, source: str) -> None:
    assert faults(source, module) == []
