"""The example trees."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def trees() -> ModuleType:
    """`trees.py` beside this file: test folders are no packages, so it cannot be imported by name."""
    spec = importlib.util.spec_from_file_location("metadata_trees", Path(__file__).with_name("trees.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
