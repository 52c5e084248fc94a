"""Recordings that two corpora share are found by their bytes and by their files, and named by every command that uses both."""

from pathlib import Path
from typing import Any

import pytest

import ser
from ser.features import shared_audio
from ser.features.tensors import load_tensors

FAST: dict[str, Any] = {"epochs": 1, "runs": 1, "protocol": "speaker", "folds": 3, "jobs": 1}
FAST["head_options"] = {"hidden": 8}
HALF = "shared audio: 48 of 96 utterances of b are recordings of a too, so that test audio may be in training"


@pytest.fixture
def half(maker: Any, tmp_path: Path) -> Any:
    """Corpora of one folder: the three speakers of `a` are half of those of `b`. None of the folder's files is read."""
    maker.table("a", speakers=3, root=str(tmp_path))
    maker.table("b", speakers=6, root=str(tmp_path))
    for name in "ab":
        maker.store(name, identity={"encoder": "toy"})
    return maker.space


def test_recordings_of_two_corpora_are_found(half: Any, maker: Any, tmp_path: Path) -> None:
    b = load_tensors("b", half, scheme="native")
    found = shared_audio.in_corpus(b, "a", half)
    assert set(b.frame["speaker"][found]) == {"s0", "s1", "s2"}
    assert found.sum() == len(found) / 2
    maker.table("far", root=str(tmp_path / "elsewhere"))
    maker.store("far", identity={"encoder": "toy"})
    assert not shared_audio.in_corpus(b, "far", half).any()  # the hash of features without a source says nothing
    for name in ("one", "two"):
        maker.table(name, root=str(tmp_path / name))
        maker.store(name, source=b"\1" * 32)
    assert shared_audio.in_corpus(load_tensors("two", half, scheme="native"), "one", half).all()


def test_every_command_on_two_corpora_names_them(half: Any) -> None:
    pair = {**FAST, "workspace": half, "scheme": "native"}
    for record in (
        ser.transfer("a", "b", **pair),
        ser.finetune("a", "b", **pair),
        ser.adapt("a", "b", **pair),
        ser.fewshot("b", "a", percentages=100, **pair),
        ser.combine("a,b", **pair),
        ser.matrix("a,b", **pair),
    ):
        assert HALF in record["stamps"]
    assert HALF not in ser.fit("b", **pair)["stamps"]
