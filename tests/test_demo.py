"""The whole pipeline as `ser demo` runs it, on smaller corpora."""

import json
from pathlib import Path

import pytest

from ser.demo import run
from ser.results.records.kinds import read_summary
from ser.train.experiments import fewshot
from ser.train.heads import mlp
from ser.workspace import Workspace


def test_the_demo_makes_everything_and_says_synthetic_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mlp.DEFAULTS, "epochs", 10)
    monkeypatch.setattr(fewshot, "TUNE_EPOCHS", 5)
    said: list[str] = []
    made = run(Workspace(tmp_path), runs=1, speakers=6, sentences=2, quiet=True, say=said.append)
    assert said[0].startswith("SYNTHETIC")
    for path in (made.fit, made.fewshot):
        summary = read_summary(path)
        assert any("synthetic" in stamp for stamp in summary["stamps"])
        assert summary["command"] in " ".join("\n".join(said).split())
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((tmp_path / "metadata" / "demo-studio.json").read_text())
    assert facts["synthetic"] is True
    assert "SYNTHETIC" in facts["title"]
    assert read_summary(made.fit)["pooled"]["UA"]["mean"] > 1.5 / 6
