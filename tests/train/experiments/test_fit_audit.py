"""Records carry what `ser audit` found in the audio, and folds from a file train as the protocol that they were made by."""

from pathlib import Path
from typing import Any

from msgspec import convert

from ser.metadata.copies import Copies, write_copies
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.fold_file import save_folds
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import load_table
from ser.results.records.data_facts import AuditFacts
from ser.results.report.background import audit_lines
from ser.train.experiments.fit import fit

FAST = {"scheme": "native", "runs": 1, "epochs": 2, "head": "linear", "quiet": True}


def test_copies_of_test_audio_become_a_stamp(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    before = fit("toy", maker.space, protocol="official", **FAST)
    assert before["data"]["audit"]["copies"] is None
    table = load_table("toy", maker.space)
    pair = (table.ids[0], table.ids[-1])  # of a training and of a test speaker, under two emotions
    write_copies(maker.space, "toy", table.sha256, Copies((pair,)))
    after = fit("toy", maker.space, protocol="official", **FAST)
    assert after["data"]["audit"]["copies"]["identical"] == {
        "pairs": 1, "across": 1, "test_utterances": 1, "labels_differ": 1,
    }  # fmt: skip
    stamp = "identical audio: 1 test utterances are in training or validation too, some under another label"
    assert stamp in after["stamps"]
    assert stamp not in before["stamps"]
    share = {**before["data"]["audit"]["shares"]["speaker"], "test": 10 / 3}
    told = audit_lines(convert({**before["data"]["audit"], "shares": {"speaker": share}}, AuditFacts))
    assert told[0].startswith("speakers: a fold tests 3.3 on average; ")


def test_folds_from_a_file_give_the_numbers_of_their_protocol(maker: Any, tmp_path: Path) -> None:
    maker.table("toy")
    maker.store("toy")
    table = load_table("toy", maker.space)
    options = FoldOptions(folds=3, stratified=True)
    labels = table.frame["emotion"].astype("category").cat.codes.to_numpy()
    save_folds(tmp_path / "f.csv", table.frame, make_folds("speaker", table, table.frame, labels, options))
    whole = fit("toy", maker.space, protocol="speaker", folds=options, **FAST)
    read = fit("toy", maker.space, folds=FoldOptions(file=tmp_path / "f.csv"), **FAST)
    assert read["data"]["protocol"] == "file"
    assert read["data"]["folds_sha256"] == whole["data"]["folds_sha256"]
    assert read["data"]["folds"] == whole["data"]["folds"]
    assert read["test"] == whole["test"]
