"""A workspace with a corpus of synthetic speech, features and saved heads, shared by all tests of this folder."""

from pathlib import Path

import pytest

from ser.cli import main
from tests.conftest import table_of_speech


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six speakers, two emotions; experiments `mfcc` of pooled features with an MLP, `frames` with pooling, `sklearn`."""
    root = tmp_path_factory.mktemp("trained")
    common = table_of_speech(root)
    for level in ("utterance", "frame"):
        assert main(["extract", "--dataset", "mine", "--audio", "mfcc", "--level", level, "--jobs", "1", *common]) == 0
    options = ["--protocol", "speaker", "--folds", "3", "--runs", "1", "--jobs", "1", "--save"]
    small = ["--epochs", "3", "--head-option", "hidden=8"]
    for name, more in {
        "mfcc": ["--audio", "mfcc.utterance", *small],
        "frames": ["--audio", "mfcc", *small, "--head-option", "pooling=attentive"],
        "sklearn": ["--audio", "mfcc.utterance", "--head", "sklearn:LogisticRegression"],
    }.items():
        assert main(["fit", *options, *more, "--output", str(root / "results" / f"{name}.json"), *common]) == 0
    return root


@pytest.fixture
def clip(trained: Path) -> Path:
    """A recording of the corpus."""
    return sorted((trained / "corpus" / "AudioWAV").glob("*.wav"))[0]
