"""A workspace with saved heads, for the tests of the service."""

from pathlib import Path

import pytest

from ser.cli import main
from ser.predict.predictor import Predictor
from tests.conftest import table_of_speech


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a corpus, and a saved head for each of three folds."""
    root = tmp_path_factory.mktemp("service")
    common = table_of_speech(root)
    asked = ["--dataset", "mine", "--audio", "mfcc", "--level", "utterance", "--jobs", "1"]
    assert main(["extract", *asked, *common]) == 0
    options = ["--protocol", "speaker", "--folds", "3", "--runs", "1", "--epochs", "3", "--jobs", "1", "--save"]
    assert main(["fit", *options, "--output", str(root / "results" / "mine.json"), *common]) == 0
    return root


@pytest.fixture(scope="session")
def clips(workspace: Path) -> list[Path]:
    return sorted((workspace / "corpus").rglob("*.wav"))


@pytest.fixture(scope="session")
def predictor(workspace: Path) -> Predictor:
    return Predictor(sorted((workspace / "results" / "mine").glob("*.safetensors")))
