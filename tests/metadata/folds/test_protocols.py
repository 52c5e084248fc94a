"""Protocols: parts are disjoint, whole groups stay together, and broken promises are found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.audit import sharing
from ser.audit.leakage import leakage
from ser.audit.split_data import SplitTable
from ser.errors import ConfigError, CorpusError
from ser.metadata.corpus import corpus as corpus_plugin
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.folds.protocols import PROTOCOLS, default_protocol, make_folds, train_and_validation, why_random
from ser.metadata.table import Table, make_table


def corpus(speakers: int = 10, each: int = 8, **columns: object) -> tuple[Table, pd.DataFrame, np.ndarray]:
    emotions = ["anger", "happiness", "neutral", "sadness"]
    rows = [
        {
            "utterance_id": f"{s:02d}-{k}",
            "path": f"{s:02d}-{k}.wav",
            "emotion": emotions[k % 4],
            "label": emotions[k % 4],
            "speaker": f"{s:02d}",
            "session": f"Ses0{1 + s // 2}",
            "split": "train" if s < 6 else "validation" if s < 8 else "test",
            **columns,
        }
        for s in range(speakers)
        for k in range(each)
    ]
    table = make_table(rows, "toy", {"corpus": "ravdess"})
    return table, table.frame, np.arange(len(rows)) % 4


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS if p not in ("emobox", "file")])
def test_every_part_is_there_and_none_overlaps(protocol: str) -> None:
    table, frame, labels = corpus()
    for fold in make_folds(protocol, table, frame, labels):
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        assert len(np.unique(rows)) == len(rows) == len(frame)
        assert min(map(len, (fold.train, fold.validation, fold.test))) > 0
    sharing.judge_folds("toy", protocol, frame, make_folds(protocol, table, frame, labels))


def test_session_leaves_one_session_out_and_validates_on_another() -> None:
    table, frame, labels = corpus()
    folds = make_folds("session", table, frame, labels)
    assert [f.name for f in folds] == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
    for fold in folds:
        assert set(frame["session"].iloc[fold.test]) == {fold.name}
        (validation,) = set(frame["session"].iloc[fold.validation])
        assert validation not in set(frame["session"].iloc[fold.train]) | {fold.name}
    tested = np.concatenate([f.test for f in folds])
    assert sorted(tested) == list(range(len(frame)))


def test_seed1_takes_sessions_one_to_three_four_and_five() -> None:
    table, frame, labels = corpus()
    (fold,) = make_folds("seed1", table, frame, labels)
    parts = [set(frame["session"].iloc[p]) for p in (fold.train, fold.validation, fold.test)]
    assert parts == [{"Ses01", "Ses02", "Ses03"}, {"Ses04"}, {"Ses05"}]


def test_seed1_without_sessions_is_80_10_10_by_speaker() -> None:
    table, frame, labels = corpus(20, session="")
    (fold,) = make_folds("seed1", table, frame, labels)
    parts = [set(frame["speaker"].iloc[p]) for p in (fold.train, fold.validation, fold.test)]
    assert [len(p) for p in parts] == [16, 2, 2]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_speaker_leaves_one_out_or_makes_k_folds() -> None:
    table, frame, labels = corpus()
    assert len(make_folds("speaker", table, frame, labels)) == 10
    folds = make_folds("speaker", table, frame, labels, FoldOptions(folds=5))
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(len(frame)))
    for fold in folds:
        speakers = [set(frame["speaker"].iloc[p]) for p in (fold.train, fold.validation, fold.test)]
        assert len(speakers[2]) == 2
        assert not speakers[0] & speakers[1]
        assert not (speakers[0] | speakers[1]) & speakers[2]


def test_emobox_takes_the_published_folds_of_the_plugin() -> None:
    rows = [
        {"utterance_id": f"{a}-{k}", "path": "x.wav", "emotion": "anger", "label": "05", "speaker": a}
        for fold in corpus_plugin("ravdess").EMOBOX_FOLDS  # type: ignore[attr-defined]
        for a in fold
        for k in range(2)
    ]
    table = make_table(rows, "ravdess", {"corpus": "ravdess"})
    folds = make_folds("emobox", table, table.frame, np.arange(len(rows)) % 2)
    assert [len(f.test) for f in folds] == [8] * 6
    first = sorted(set(table.frame["speaker"].iloc[folds[0].test]))
    assert [int("".join(filter(str.isdigit, speaker))) for speaker in first] == [1, 11, 20, 21]


def test_emobox_takes_folds_from_a_file(tmp_path: Path) -> None:
    table, frame, labels = corpus()
    file = tmp_path / "folds.csv"
    file.write_text("fold,utterance_id\n" + "".join(f"{k % 3 + 1},{i}\n" for k, i in enumerate(table.ids)))
    folds = make_folds("emobox", table, frame, labels, FoldOptions(file=file))
    assert [f.name for f in folds] == ["1", "2", "3"]
    assert list(folds[1].test) == list(range(1, len(frame), 3))
    file.write_text("fold,utterance_id\n1,00-0\n")
    with pytest.raises(ConfigError, match="no fold for 79 utterances, 00-1 first"):
        make_folds("emobox", table, frame, labels, FoldOptions(file=file))


def test_random_shares_speakers_and_is_stamped() -> None:
    table, frame, labels = corpus()
    (fold,) = make_folds("random", table, frame, labels)
    assert [len(fold.train), len(fold.validation), len(fold.test)] == [64, 8, 8]
    report = sharing.judge_folds("toy", "random", frame, [fold])
    assert report.speaker_independent is False
    said = sharing.sharing_stamps(report, {}, {"audio"})
    assert any("speakers shared" in s for s in said)
    assert np.bincount(labels[fold.test]).tolist() == [2, 2, 2, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 12), st.integers(0, 5), st.integers(1, 9))
def test_folds_are_a_partition_whatever_the_sizes(speakers: int, seed: int, each: int) -> None:
    table, frame, labels = corpus(speakers, each)
    folds = make_folds("speaker", table, frame, labels, FoldOptions(folds=3, seed=seed))
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(len(frame)))
    for fold in folds:
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        assert len(set(rows)) == len(rows)


def test_the_default_follows_the_table() -> None:
    assert default_protocol(corpus()[0]) == "official"
    assert default_protocol(corpus(split="")[0]) == "session"
    assert default_protocol(corpus(split="", session="")[0]) == "speaker"
    assert default_protocol(corpus(split="", session="", speaker="")[0]) == "random"
    partly = corpus(split="")[0]
    partly.frame.loc[0, "session"] = ""  # protocol session needs all of them
    assert default_protocol(partly) == "speaker"


def test_a_protocol_that_does_not_fit_says_what_it_needs() -> None:
    table, frame, labels = corpus(split="", session="", speaker="")
    for protocol in ("official", "session", "speaker", "seed1"):
        with pytest.raises(
            CorpusError, match=rf"protocol {protocol} does not fit; .* Choose another --protocol: random, file with"
        ):
            make_folds(protocol, table, frame, labels)  # and names none that does not fit either
    with pytest.raises(ConfigError, match="Did you mean 'speaker'"):
        make_folds("speakers", table, frame, labels)
    few = frame[:8]
    with pytest.raises(CorpusError, match="protocol random does not fit; expected 10 utterances or more"):
        make_folds("random", table, few, labels[:8])  # nobody has typed --folds 10
    with pytest.raises(ConfigError, match="--folds 9"):
        make_folds("random", table, few, labels[:8], FoldOptions(folds=9))
    with pytest.raises(ConfigError, match="--folds 99"):
        make_folds("speaker", *corpus(), FoldOptions(folds=99))


def test_an_overlap_and_a_broken_promise_are_errors() -> None:
    _, frame, _ = corpus()
    with pytest.raises(CorpusError, match="in two parts"):
        sharing.judge_folds("toy", "random", frame, [Fold("0", np.arange(5), np.arange(5, 7), np.arange(4, 9))])
    with pytest.raises(CorpusError, match="promises disjoint speakers"):
        sharing.judge_folds("toy", "speaker", frame, [Fold("0", np.array([0]), np.array([9]), np.array([1]))])


def test_hold_out_keeps_whole_speakers() -> None:
    _, frame, labels = corpus()
    train, validation = train_and_validation(frame, labels, FoldOptions())
    assert not set(frame["speaker"].iloc[train]) & set(frame["speaker"].iloc[validation])
    assert len(train) + len(validation) == len(frame)


def test_stamps_name_synthetic_audio_and_fixed_sentences() -> None:
    table, frame, labels = corpus()
    report = sharing.judge_folds("toy", "speaker", frame, make_folds("speaker", table, frame, labels))
    assert sharing.sharing_stamps(report, {"sentences": 2}, {"audio"}) == []
    assert "2 sentences" in sharing.sharing_stamps(report, {"sentences": 2}, {"audio", "text"})[0]
    assert "synthetic" in sharing.sharing_stamps(report, {"synthetic": True}, {"audio"})[0]


def test_validation_takes_whole_dialogues_where_nobody_knows_who_speaks() -> None:
    table, frame, labels = corpus(speaker="")
    frame = frame.assign(split=frame["split"].replace("validation", "train"))
    talks = frame.assign(dialogue=[i.split("-")[0] for i in frame["utterance_id"]])
    (fold,) = make_folds("official", table, talks, labels)
    assert fold.validation_by == "dialogue"
    parts = {part: set(talks["dialogue"].iloc[rows]) for part, rows in fold.parts().items()}
    assert not parts["validation"] & (parts["train"] | parts["test"])
    (fold,) = make_folds("official", table, frame, labels)
    assert fold.validation_by == "utterance"


def test_validation_by_voices_of_training_is_said() -> None:
    table, frame, labels = corpus(speakers=4)
    folds = make_folds("speaker", table, frame, labels, FoldOptions(folds=3, stratified=True))
    speaker = frame["speaker"].to_numpy()
    common = [set(speaker[f.train]) & set(speaker[f.validation]) for f in folds]
    assert any(common)  # of two training speakers none can be held out
    report = sharing.judge_folds("toy", "speaker", frame, folds)
    assert report.speaker_independent is True
    assert report.facts()["validation"] == {"speakers": max(map(len, common)), "folds": sum(map(bool, common))}
    (stamp,) = sharing.sharing_stamps(report, {}, {"audio"})
    assert stamp.startswith(f"validation shares speakers with training in {sum(map(bool, common))} of the folds")
    findings = {f.kind: f for f in leakage(SplitTable(table, frame, labels, tuple("abcd"), "speaker", folds))}
    found = findings["validation-speakers"]
    assert (found.count, found.of) == (sum(map(bool, common)), 3)
    assert found.examples == tuple(f.name for f, own in zip(folds, common, strict=True) if own)
    whole = make_folds("speaker", table, frame, labels)  # three training speakers: one is held out
    assert sharing.sharing_stamps(sharing.judge_folds("toy", "speaker", frame, whole), {}, {"audio"}) == []
    subject = SplitTable(table, frame, labels, tuple("abcd"), "speaker", whole)
    assert "validation-speakers" not in {f.kind for f in leakage(subject)}


@pytest.mark.parametrize(
    ("speakers", "why"),
    [
        (["a", "b", "c", ""], "20 of 80 utterances have no speaker, 00-3 first"),
        (["a", "b"], "there are 2 speakers, and protocol speaker needs three"),
        ([""], ""),
    ],
)
def test_the_reason_for_random_is_known(speakers: list[str], why: str) -> None:
    table, _, _ = corpus(split="", session="")
    table.frame["speaker"] = [speakers[k % len(speakers)] for k in range(len(table.frame))]
    assert default_protocol(table) == "random"
    assert why_random(table) == why
