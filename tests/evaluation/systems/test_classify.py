"""A ready-made classifier on a corpus becomes a record."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from ser.cli import main
from ser.extract.encoders import emotion2vec
from ser.features.stores.store import FeatureStore
from ser.results.stored.runs import read_predictions
from ser.workspace import Workspace

MODEL = "emotion2vec-plus-base"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model of random weights under the name of the published one."""
    folder = emotion2vec.example(tmp_path / "weights" / MODEL)
    monkeypatch.setitem(emotion2vec.CHECKPOINTS, MODEL, replace(emotion2vec.CHECKPOINTS[MODEL], dim=32))
    return folder.parent


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A corpus like RAVDESS: of six actors, four emotions each."""
    for actor in range(1, 7):
        for emotion in (1, 3, 4, 5):
            noise = np.random.default_rng([actor, emotion]).normal(0, 0.1, 4000 + 100 * actor).astype(np.float32)
            path = tmp_path / "corpus" / f"Actor_{actor:02d}" / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, noise, 16000)
    root = str(tmp_path / "corpus")
    space = Workspace(tmp_path / "work")
    assert main(["metadata", "--dataset", "ravdess", "--root", root, "--workspace", str(space.root), "--quiet"]) == 0
    return space


def classify(space: Workspace, weights: Path, *words: str) -> int:
    first = ["classify", "--dataset", "ravdess", "--model", MODEL, "--weights", str(weights), "--jobs", "1", "--device", "cpu"]
    return main([*first, "--protocol", "speaker", "--folds", "3", *words, "--workspace", str(space.root)])


def record(space: Workspace) -> tuple[Path, dict[str, Any]]:
    (path,) = space.results.glob("classify-*.json")
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_the_record_has_the_classifiers_answers(space: Workspace, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify(space, weights) == 0
    said = capsys.readouterr().out
    assert f"ravdess {MODEL}.classes: 24 done, 0 skipped, 0 failed" in said
    path, content = record(space)
    assert [s for s in content["stamps"] if s.startswith(f"encoder has seen this corpus: {MODEL}.classes in fine-tuning")]
    left = "厌恶/disgusted, 恐惧/fearful, 其他/other, 吃惊/surprised, <unk>"
    assert [s for s in content["stamps"] if f"{left}; its choice is made among the classes alone" in s]
    classes = dict.fromkeys(emotion2vec.LABELS) | {"生气/angry": "anger", "开心/happy": "happiness"}
    classes |= {"中立/neutral": "neutral", "难过/sad": "sadness"}
    assert content["data"]["classify"]["labels"] == classes
    predictions = read_predictions(path)
    assert set(predictions["split"]) == {"validation", "test"}
    with FeatureStore(space.store("ravdess", f"{MODEL}.classes")) as store:
        for row in predictions.to_dict("records"):
            own = store[row["utterance_id"]][[0, 3, 4, 6]]
            np.testing.assert_allclose([row[f"p_{c}"] for c in content["data"]["classes"]], own / own.sum(), atol=1e-6)
    assert main(["results", "verify", "--all", "--workspace", str(space.root)]) == 0
    assert main(["evaluate", "--model", path.stem, "--calibrate", "--workspace", str(space.root), "--quiet"]) == 0


def test_answers_are_kept_and_are_no_features(space: Workspace, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert classify(space, weights, "--map", "其他/other=neutral") == 0
    name = record(space)[0].name
    capsys.readouterr()
    assert classify(space, weights) == 0
    assert "0 done, 24 skipped, 0 failed" in capsys.readouterr().out
    assert len({name, *(p.name for p in space.results.glob("classify-*.json"))}) == 2  # the map is of the name
    fit = ["fit", "--dataset", "ravdess", "--workspace", str(space.root)]
    assert main(fit) == 2
    assert "ravdess has no features in" in capsys.readouterr().err
    assert main([*fit, "--audio", MODEL]) == 2
    assert f"unknown store of ravdess: '{MODEL}'" in capsys.readouterr().err


def test_labels_without_a_meaning_ask_for_a_map(space: Workspace, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights / MODEL / "tokens.txt").write_text("\n".join(f"LABEL_{k}" for k in range(9)))
    assert classify(space, weights) == 2
    assert "--map 'LABEL_0=CLASS'" in capsys.readouterr().err
    file = space.root / "map.yaml"
    file.write_text(yaml.safe_dump({f"LABEL_{k}": "anger" if k < 3 else "neutral" for k in range(9)}))
    assert classify(space, weights, "--map", str(file)) == 0
    assert record(space)[1]["data"]["classify"]["labels"]["LABEL_8"] == "neutral"


def test_from_python(space: Workspace, weights: Path) -> None:
    import ser

    content, report = ser.classify("ravdess", MODEL, space, weights=weights, protocol="speaker", jobs=1)
    assert (report.done, content["data"]["protocol"]) == (24, "speaker")
