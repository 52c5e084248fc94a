"""A table with features as a dataset of Hugging Face: the same rows, labels and values, which this package reads again."""

from typing import Any

import numpy as np
import pytest

import ser
from ser.cli import main
from ser.metadata.corpus import parse_corpus

package = pytest.importorskip("datasets")
SHAPES: dict[str, dict[str, Any]] = {"flat": {}, "layers": {"layers": (1.0, 2.0)}, "frames": {"framewise": True}}


@pytest.mark.parametrize("kind", SHAPES)
def test_rows_have_their_features_and_labels(maker: Any, kind: str) -> None:
    maker.table("toy", licence="CC0")
    maker.store("toy", kind, leave_out=0, **SHAPES[kind])
    made = ser.to_datasets("toy", maker.space, store=kind)
    frame = ser.load_table("toy", maker.space).frame
    assert made["utterance_id"] == list(frame["utterance_id"])
    assert made.features["emotion"].int2str(made["emotion"]) == list(frame["emotion"])
    assert "CC0" in made.info.description
    assert '"encoder"' in made.info.description
    with ser.FeatureStore(maker.space.store("toy", kind)) as store:
        for row in (0, 50, 95):
            np.testing.assert_array_equal(np.array(made[row]["features"], np.float32), store[made[row]["utterance_id"]])


def test_without_a_store_it_is_the_table(maker: Any) -> None:
    maker.table("toy", root="/corpus")
    made = ser.to_datasets("toy", maker.space)
    assert "features" not in made.column_names
    assert "valence" not in made.column_names  # no utterance has one
    assert made[0]["path"] == "/corpus/0/anger0.wav"


def test_the_command_writes_a_folder_that_is_read_again(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    output = maker.space.root / "out"
    words = ["store", "export", "--format", "datasets", "--output", str(output), "--workspace", str(maker.space.root)]
    assert main(words) == 0
    assert main(words) == 2
    note = output / "toy.toy.datasets" / "notes.txt"
    note.write_text("mine")
    assert main([*words, "--overwrite"]) == 2  # it would be lost
    note.unlink()
    assert main([*words, "--overwrite"]) == 0
    assert [p.name for p in output.iterdir()] == ["toy.toy.datasets"]
    again = parse_corpus("datasets", output / "toy.toy.datasets").frame
    frame = ser.load_table("toy", maker.space).frame
    for column in ("emotion", "speaker", "gender", "text"):
        assert list(again[column]) == list(frame[column])
