"""The whole pipeline as `ser demo` runs it, on smaller corpora; and a saved head on new recordings."""

import json
from pathlib import Path

import numpy as np
import pytest

import ser
from ser.cli import main
from ser.demo import run
from ser.errors import ConfigError
from ser.results.records.record import read_summary
from ser.synthesis import make_corpus
from ser.train.checkpoint import load_head
from ser.workspace import Workspace


def test_the_demo_makes_everything_and_says_synthetic_everywhere(tmp_path: Path) -> None:
    said: list[str] = []
    made = run(Workspace(tmp_path), runs=2, speakers=6, sentences=2, quiet=True, say=said.append)
    assert said[0].startswith("SYNTHETIC")
    for path in (made.fit, made.fewshot):
        summary = read_summary(path)
        assert any("synthetic" in stamp for stamp in summary["stamps"])
        assert summary["command"] in "\n".join(said)
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((tmp_path / "metadata" / "demo-studio.json").read_text())
    assert facts["synthetic"] is True
    assert "SYNTHETIC" in facts["title"]
    assert read_summary(made.fit)["pooled"]["UA"]["mean"] > 1.5 / 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a corpus, features and a saved head, made on the command line."""
    root = tmp_path_factory.mktemp("trained")
    make_corpus(root / "corpus", seed=3, speakers=6, sentences=2, emotions=("ANG", "SAD"))
    common = ["--workspace", str(root), "--quiet"]
    from_ = ["--dataset", "mine", "--format", "cremad", "--root", str(root / "corpus")]
    assert main(["metadata", *from_, *common]) == 0
    assert (
        main(["extract", "--dataset", "mine", "--audio", "mfcc", "--level", "utterance", "--jobs", "1", *common]) == 0
    )
    options = ["--protocol", "speaker", "--folds", "3", "--runs", "1", "--jobs", "1", "--save"]
    assert main(["fit", *options, "--output", str(root / "results" / "mine.json"), *common]) == 0
    return root


def test_a_saved_head_gives_new_audio_what_it_gave_the_stored_features(trained: Path) -> None:
    summary = read_summary(trained / "results" / "mine.json")
    entry = summary["runs"][0]
    model = (trained / "results" / entry["record"]).with_suffix(".safetensors")
    predictor = ser.Predictor(model)
    assert predictor.classes == ["anger", "sadness"]
    import pandas as pd

    recorded = pd.read_csv(trained / "results" / entry["predictions"])
    recorded = recorded[recorded["split"] == "test"].head(5)
    files = [trained / "corpus" / "AudioWAV" / f"{i}.wav" for i in recorded["utterance_id"]]
    table = predictor.predict(files)
    np.testing.assert_allclose(table["p_anger"], recorded["p_anger"], atol=1e-6)
    assert list(table["predicted"]) == list(recorded["predicted"])


def test_predict_lists_files_that_cannot_be_used(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = next((trained / "results" / "mine").glob("*.safetensors"))
    bad = trained / "bad.wav"
    bad.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    good = next((trained / "corpus" / "AudioWAV").glob("*.wav"))
    assert main(["predict", str(good), str(bad), "--model", str(model), "--format", "jsonl"]) == 3
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["predicted"] in ("anger", "sadness")
    assert first["p_anger"] + first["p_sadness"] == pytest.approx(1)
    assert "LFS" in second["error"]
    assert "predicted" not in second
    assert main(["predict", str(good), "--model", str(model)]) == 0
    assert "probability" in capsys.readouterr().out


def test_a_file_that_is_no_head_is_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the head"):
        load_head(trained / "metadata" / "mine.csv")
    with pytest.raises(ConfigError, match=r"ser fit \.\.\. --save"):
        load_head(trained / "nothing.safetensors")
