"""Data split by a protocol, and the stamps that it carries."""

from typing import Any

import pytest

from ser.audit.split_data import split_data
from ser.features.tensors import load_tensors
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.table import load_table, make_table, write_table


@pytest.mark.parametrize("named", [None, "random"])
def test_a_protocol_that_became_random_says_why(maker: Any, named: str | None) -> None:
    maker.table("toy", speakers=4)
    rows = load_table("toy", maker.space).frame.assign(split="", session="")
    rows.loc[2, "speaker"] = ""
    write_table(make_table(rows.to_dict("records"), "toy"), maker.space)
    maker.store("toy")
    split = split_data(load_tensors("toy", maker.space), named, FoldOptions(), "none", "4")
    assert split.protocol == "random"
    why = "protocol random was chosen, which mixes speakers: 1 of 64 utterances have no speaker, toy-s0-anger-2 first"
    assert (why in split.stamps) == (named is None)
