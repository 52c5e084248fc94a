"""The example trees, and the real corpora where a developer has them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DATA = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture(scope="session")
def trees() -> ModuleType:
    """`trees.py` beside this file: test folders are no packages, so it cannot be imported by name."""
    spec = importlib.util.spec_from_file_location("metadata_trees", Path(__file__).with_name("trees.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def real() -> Path:
    """The folder of real corpora; the test is skipped where it is not there."""
    if not DATA.is_dir():
        pytest.skip("the real corpora (../shared/data) are not here")
    return DATA
