"""Tiny models as fixtures: `models` is the module beside this file, `tiny` builds each model once a session."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """The builders of `models.py`. (Test folders are no packages, so it cannot be imported by name.)"""
    spec = importlib.util.spec_from_file_location("ser_test_models", Path(__file__).with_name("models.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("wavlm")` is the folder of that model; do not write to it."""
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in built:
            builder = (models.SPEECH | models.TEXT | models.EMOTION2VEC)[name]
            built[name] = builder(tmp_path_factory.mktemp("models") / f"tiny-{name}")
        return built[name]

    return build
