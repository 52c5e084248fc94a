"""Tiny models as fixtures: `models` is the module beside this file, `tiny` builds each model once a session."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ser import registry
from ser.extract.encoder import ENCODERS


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """The builders of `models.py`. (Test folders are not packages, so it cannot be imported by name.)"""
    spec = importlib.util.spec_from_file_location("ser_test_models", Path(__file__).with_name("models.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`example("speech")` is what `ser.extract.encoder.load` takes for the example of that plugin: a folder, or its name."""
    built: dict[str, str] = {}

    def build(name: str) -> str:
        if name not in built:
            plugin = registry.load(ENCODERS, name)
            made = getattr(plugin, "example", None)
            built[name] = str(made(tmp_path_factory.mktemp("examples") / f"tiny-{name}")) if made else name
        return built[name]

    return build


@pytest.fixture(scope="session")
def tiny(models: ModuleType, example: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("wavlm")` is the folder of that model of `models.py`, else the example of that plugin; do not write to it."""
    built: dict[str, Path] = {}
    builders = models.SPEECH | models.TEXT | models.EMOTION2VEC

    def build(name: str) -> Path:
        if name not in builders:
            return Path(example(name))
        if name not in built:
            built[name] = builders[name](tmp_path_factory.mktemp("models") / f"tiny-{name}")
        return built[name]

    return build
