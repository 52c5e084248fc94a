"""The real corpora, where a developer has them."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def real() -> Path:
    """The folder of real corpora; the test is skipped where it is not there."""
    if not DATA.is_dir():
        pytest.skip("the real corpora (../shared/data) are not here")
    return DATA
