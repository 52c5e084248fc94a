"""Folds over whole groups, stratified or not, and folds in a file: what is written is read back the same."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.audit import sharing
from ser.errors import ConfigError, CorpusError, SerError
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.folds.fold_file import read_folds, save_folds, write_folds
from ser.metadata.folds.protocols import PROTOCOLS, default_protocol, make_folds
from ser.metadata.table import Table, make_table

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def corpus(speakers: int = 12, each: int = 8, uneven: bool = False) -> tuple[Table, pd.DataFrame, np.ndarray]:
    """Two speakers a session; uneven: a speaker has mostly one emotion, as in spontaneous speech."""
    rows = [
        {
            "utterance_id": f"{s:02d}-{k}",
            "path": f"{s:02d}-{k}.wav",
            "emotion": EMOTIONS[(s if uneven and k else k) % 4],
            "speaker": f"{s:02d}",
            "session": f"Ses{s // 2:02d}",
            "split": "train" if s < 6 else "test",
        }
        for s in range(speakers)
        for k in range(each)
    ]
    table = make_table(rows, "toy", {"corpus": "ravdess"})
    return table, table.frame, np.array([EMOTIONS.index(e) for e in table.frame["emotion"]])


def same(first: list[Fold], second: list[Fold]) -> bool:
    return len(first) == len(second) and all(
        (a.name, a.validation_by, a.carved) == (b.name, b.validation_by, b.carved)
        and all(np.array_equal(rows, b.parts()[part]) for part, rows in a.parts().items())
        for a, b in zip(first, second, strict=True)
    )


def unevenness(folds: list[Fold], labels: np.ndarray) -> float:
    """Mean distance of the test parts' class shares from those of all rows."""
    overall = np.bincount(labels, minlength=4) / len(labels)
    shares = [np.bincount(labels[f.test], minlength=4) / len(f.test) for f in folds]
    return float(np.mean([np.abs(s - overall).sum() for s in shares]))


@pytest.mark.parametrize("protocol", ["session", "speaker"])
@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("validation", ["auto", "speaker", "session"])
def test_k_folds_keep_groups_whole_in_all_three_parts(protocol: str, stratified: bool, validation: str) -> None:
    table, frame, labels = corpus()
    options = FoldOptions(folds=3, stratified=stratified, validation=validation)
    folds = make_folds(protocol, table, frame, labels, options)
    assert [f.name for f in folds] == ["0", "1", "2"]
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(len(frame)))
    for fold in folds:
        groups = {part: set(frame[protocol].iloc[rows]) for part, rows in fold.parts().items()}
        assert all(groups.values())
        assert not groups["test"] & (groups["train"] | groups["validation"])
        taken = validation if validation != "auto" else protocol
        held = {part: set(frame[taken].iloc[rows]) for part, rows in fold.parts().items()}
        assert not held["validation"] & held["train"]
    sharing.judge_folds("toy", protocol, frame, folds)


def test_session_folds_validate_on_the_next_folds_sessions() -> None:
    table, frame, labels = corpus()
    folds = make_folds("session", table, frame, labels, FoldOptions(folds=3))
    tests = [set(frame["session"].iloc[f.test]) for f in folds]
    assert [len(t) for t in tests] == [2, 2, 2]
    assert [set(frame["session"].iloc[f.validation]) for f in folds] == [tests[1], tests[2], tests[0]]


def test_stratified_folds_have_more_even_classes() -> None:
    table, frame, labels = corpus(speakers=24, uneven=True)
    plain, stratified = (
        np.mean(
            [
                unevenness(make_folds("speaker", table, frame, labels, FoldOptions(4, seed, stratified=s)), labels)
                for seed in range(5)
            ]
        )
        for s in (False, True)
    )
    assert stratified < 0.6 * plain


def test_stratified_validation_has_the_classes_of_training() -> None:
    table, frame, labels = corpus(speakers=40, uneven=True)
    for fold in make_folds("speaker", table, frame, labels, FoldOptions(4, 1, stratified=True)):
        assert set(labels[fold.validation]) == set(range(4))


def test_the_seed_decides_and_alone() -> None:
    table, frame, labels = corpus()
    for stratified in (False, True):
        one, again, other = (
            make_folds("speaker", table, frame, labels, FoldOptions(4, seed, stratified=stratified)) for seed in (0, 0, 1)
        )
        assert same(one, again)
        assert not same(one, other)


def test_options_without_use_are_refused() -> None:
    table, frame, labels = corpus()
    for protocol, options, words in (
        ("official", FoldOptions(folds=5), "protocol official does not use --folds"),
        ("emobox", FoldOptions(folds=5), "does not use --folds"),
        ("random", FoldOptions(folds=5, stratified=True), "does not use --stratified"),
        ("speaker", FoldOptions(file=Path("f.csv")), "does not use --fold-file"),
        ("speaker", FoldOptions(stratified=True), "leave-one-out has no choice to make. Add --folds K."),
        ("session", FoldOptions(folds=7), r"expected 3 to 6 \(there are 6 sessions\)"),
        ("file", FoldOptions(), "expected --fold-file"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_folds(protocol, table, frame, labels, options)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("official", FoldOptions()),
        ("session", FoldOptions()),
        ("session", FoldOptions(folds=3, stratified=True)),
        ("speaker", FoldOptions()),
        ("speaker", FoldOptions(folds=4, validation="session")),
        ("random", FoldOptions(folds=3)),
        ("seed1", FoldOptions()),
    ],
)
def test_written_folds_are_read_back_the_same(tmp_path: Path, protocol: str, options: FoldOptions) -> None:
    table, frame, labels = corpus()
    folds = make_folds(protocol, table, frame, labels, options)
    file = tmp_path / "folds.csv"
    save_folds(file, frame, folds)
    assert same(read_folds(file, frame), folds)
    assert same(make_folds("file", table, frame, labels, FoldOptions(file=file)), folds)
    assert default_protocol(table, FoldOptions(file=file)) == "file"
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)  # ids decide, not positions
    for fold, other in zip(folds, read_folds(file, shuffled), strict=True):
        for part, rows in fold.parts().items():
            assert set(frame["utterance_id"].iloc[rows]) == set(shuffled["utterance_id"].iloc[other.parts()[part]])


def test_the_file_is_a_plain_csv(tmp_path: Path) -> None:
    _, frame, _ = corpus(speakers=1, each=4)
    save_folds(tmp_path / "f.csv", frame, [Fold("a,b", *(np.array([k]) for k in range(3)), "speaker", True)])
    rows = list(csv.DictReader((tmp_path / "f.csv").open(newline="")))
    assert [(r["utterance_id"], r["fold"], r["part"]) for r in rows] == [
        ("00-0", "a,b", "train"), ("00-1", "a,b", "validation"), ("00-2", "a,b", "test"), ("00-3", "a,b", "unused"),
    ]  # fmt: skip
    assert rows[0]["validation_by"] == "speaker"


def test_a_scheme_that_keeps_fewer_utterances_takes_the_same_folds(tmp_path: Path) -> None:
    table, frame, labels = corpus()
    save_folds(tmp_path / "f.csv", frame, make_folds("speaker", table, frame, labels, FoldOptions(3)))
    fewer = frame[frame["emotion"].isin(["anger", "sadness"])].reset_index(drop=True)
    for whole, part in zip(read_folds(tmp_path / "f.csv", frame), read_folds(tmp_path / "f.csv", fewer), strict=True):
        kept = set(fewer["utterance_id"])
        assert set(fewer["utterance_id"].iloc[part.test]) == set(frame["utterance_id"].iloc[whole.test]) & kept
    save_folds(tmp_path / "f.csv", fewer, make_folds("random", table, fewer, labels[: len(fewer)]))
    with pytest.raises(ConfigError, match="fold 0 has no part for 48 utterances, 00-1 first"):
        read_folds(tmp_path / "f.csv", frame)


def test_a_file_that_is_not_one_of_folds_is_left_as_it_is(tmp_path: Path) -> None:
    table, frame, labels = corpus()
    folds = make_folds("speaker", table, frame, labels, FoldOptions(3))
    file = tmp_path / "f.csv"
    save_folds(file, frame, folds)
    save_folds(file, frame, folds)  # its own is written again
    for text in ("utterance_id,emotion\na,joy\n", "id,fold\na,1\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"f.csv is there already, and is not a file of folds"):
            save_folds(file, frame, folds)
        assert file.read_text() == text


@pytest.mark.parametrize(("utterance", "part", "words"), [("id", "split", "dev"), ("Utt-ID", "Part", "Validation")])
def test_columns_have_the_names_that_tables_of_utterances_have(tmp_path: Path, utterance: str, part: str, words: str) -> None:
    _, frame, _ = corpus(speakers=1, each=3)
    lines = [f"{utterance},Fold,{part}", "00-0,1,Training", f"00-1,1,{words}", "00-2,1,test"]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    (fold,) = read_folds(tmp_path / "f.csv", frame)
    assert [rows.tolist() for rows in (fold.train, fold.validation, fold.test)] == [[0], [1], [2]]


def test_published_folds_may_name_only_what_is_not_for_training(tmp_path: Path) -> None:
    table, frame, labels = corpus()
    ids = list(frame["utterance_id"])
    lines = [("1", i, "test") for i in ids[:8]] + [("1", i, "unused") for i in ids[8:10]]
    write_folds(tmp_path / "f.csv", [*lines, *(("2", i, "test") for i in ids[90:]), ("2", ids[80], "validation")])
    first, second = make_folds("emobox", table, frame, labels, FoldOptions(file=tmp_path / "f.csv"))
    assert list(first.test) == list(range(8))
    assert not {8, 9} & set(np.concatenate([first.train, first.validation]))
    assert first.carved
    assert len(first.train) + len(first.validation) == len(frame) - 10
    assert (list(second.validation), second.carved, second.validation_by) == ([80], False, "split")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("utterance,fold\na,1\n", "expected a table with columns fold and utterance_id; found the columns utterance, fold"),
        ("", "has no folds; .* found no line below a header"),
        ("utterance_id,fold\n00-0,1\n00-1,\n", "line 3; expected a value in the column fold; found an empty one"),
        (
            "utterance_id,fold\n00-0,1\n00-1,1\n00-2,1\n00-3,1\n",
            "one fold alone, .* expected two or more folds, or a column part",
        ),
        ("utterance_id,fold,part\n00-0,1,devl\n", "line 2: unknown part 'devl'; expected train, validation, test or unused"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the file itself"),
        ("utterance_id,fold\n\udce4,1\n", "no fold for 4 utterances, 00-0 first; .* found 1 ids, of which ä is not in use"),
        ("utterance_id,fold,part\n00-0,1,test\n00-0,1,train\n", "line 3: 00-0 is in two parts of fold 1"),
        ("utterance_id,fold,part\n00-0,1,test\n00-1,1,train\n", "fold 1 has no part for 2 utterances, 00-2 first"),
        ("utterance_id,fold,part\nzz,1,test\n", "tests none of the 4 utterances in use; .* as 00-0; found first zz"),
        ("utterance_id,fold\n00-0,1\n", "no fold for 3 utterances, 00-1 first; expected a fold for each; found 1 ids"),
        ("utterance_id,fold\n00-0,1\n00-1,1\n00-2,1\n00-3,2\n00-3,1\n", "two folds test 00-3"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, content: str, words: str) -> None:
    _, frame, _ = corpus(speakers=1, each=4)
    (tmp_path / "f.csv").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(SerError, match=words):
        read_folds(tmp_path / "f.csv", frame)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", ",;\t|")
def test_a_file_as_a_spreadsheet_writes_it(tmp_path: Path, encoding: str, delimiter: str) -> None:
    """In the forms that a table of utterances may have; a test part of utterances that is not read would be another fold."""
    _, frame, _ = corpus(speakers=2, each=3)
    rows = [(i, str(n % 2)) for n, i in enumerate(frame["utterance_id"])]
    write_folds(tmp_path / "a.csv", [(fold, i, "test") for i, fold in rows])
    text = "".join(f"{i}{delimiter}{fold}\r\n" for i, fold in [("Utterance ID", "Fold"), *rows])
    (tmp_path / "b.csv").write_bytes(text.encode(encoding))
    lines = [json.dumps({"id": i, "fold": int(fold)}) for i, fold in rows]
    (tmp_path / "c.jsonl").write_text("\n".join(lines), encoding=encoding)
    expected = [(f.name, list(f.train), list(f.test)) for f in read_folds(tmp_path / "a.csv", frame)]
    floats = "".join(f"{i},{fold},test,2.0\n" for i, fold in [(i, f"{fold}.0") for i, fold in rows])
    (tmp_path / "d.csv").write_text(f"utterance_id,fold,part,folds\n{floats}", encoding="utf-8")
    for name in ("b.csv", "c.jsonl", "d.csv"):
        assert [(f.name, list(f.train), list(f.test)) for f in read_folds(tmp_path / name, frame)] == expected


def test_names_of_folds_that_are_no_whole_numbers_stay(tmp_path: Path) -> None:
    _, frame, _ = corpus(speakers=1, each=2)
    for names in (["1.0", "1.1"], ["01", "1"], ["1.0", "a.0"]):
        rows = "".join(f"{i},{fold}\n" for i, fold in zip(frame["utterance_id"], names, strict=True))
        (tmp_path / "f.csv").write_text(f"utterance_id,fold\n{rows}", encoding="utf-8")
        assert sorted(f.name for f in read_folds(tmp_path / "f.csv", frame)) == names
    written = [Fold(name, *(np.array(k, dtype=np.int64) for k in ([n], [], [1 - n]))) for n, name in enumerate(("1.0", "2.0"))]
    save_folds(tmp_path / "own.csv", frame, written)  # as speakers may be called
    assert [f.name for f in read_folds(tmp_path / "own.csv", frame)] == ["1.0", "2.0"]


def test_ids_with_white_space_at_their_ends_are_found_again(tmp_path: Path) -> None:
    """As names of files may have it."""
    _, frame, _ = corpus(speakers=1, each=3)
    frame = frame.assign(utterance_id=[" a", "b ", "c"])
    save_folds(tmp_path / "f.csv", frame, [Fold("0", *(np.array([k]) for k in range(3)))])
    (fold,) = read_folds(tmp_path / "f.csv", frame)
    assert [rows.tolist() for rows in fold.parts().values()] == [[0], [1], [2]]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    _, frame, _ = corpus(speakers=1, each=4)
    with pytest.raises(CorpusError, match=r"cannot read .*none\.csv; found No such file") as caught:
        read_folds(tmp_path / "none.csv", frame)
    assert caught.value.exit_code == 2
    (tmp_path / "f.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="is damaged; expected text in utf-16"):
        read_folds(tmp_path / "f.csv", frame)


def test_a_fold_without_training_is_refused(tmp_path: Path) -> None:
    table, frame, labels = corpus(speakers=3, each=4)
    write_folds(tmp_path / "f.csv", [("1", i, "test") for i in frame["utterance_id"]])
    with pytest.raises(CorpusError, match="the train part is empty"):
        make_folds("file", table, frame, labels, FoldOptions(file=tmp_path / "f.csv"))


def test_the_commands_offer_every_protocol() -> None:
    from ser.commands import audit, fit

    for parameters in (audit.command.params, fit.command.params):
        choices = next(p.type.choices for p in parameters if p.name == "protocol")
        assert list(choices) == list(PROTOCOLS)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 14), st.integers(3, 4), st.integers(0, 5), st.booleans(), st.randoms(use_true_random=False))
def test_folds_are_a_partition_by_group(speakers: int, folds: int, seed: int, stratified: bool, random: object) -> None:
    table, frame, _ = corpus(speakers, 6)
    labels = np.array([random.randrange(3) for _ in range(len(frame))])  # type: ignore[attr-defined]
    try:
        made = make_folds("speaker", table, frame, labels, FoldOptions(folds, seed, stratified=stratified))
    except CorpusError:  # greedy stratification may leave a fold without a speaker: an error, and not a fold less
        assert stratified
        return
    assert sorted(np.concatenate([f.test for f in made])) == list(range(len(frame)))
    for fold in made:
        assert not set(frame["speaker"].iloc[fold.test]) & set(frame["speaker"].iloc[fold.train])
        if fold.validation_by == "speaker":  # else training has two speakers: they cannot be held apart
            assert not set(frame["speaker"].iloc[fold.validation]) & set(frame["speaker"].iloc[fold.train])
        else:
            assert len(set(frame["speaker"].iloc[fold.train])) <= 2


@pytest.mark.parametrize("protocol", ["session", "speaker", "random"])
def test_a_file_that_was_cut_short_is_refused_wherever_it_was_cut(tmp_path: Path, protocol: str) -> None:
    table, frame, labels = corpus(speakers=6, each=4)
    file = tmp_path / "f.csv"
    save_folds(file, frame, make_folds(protocol, table, frame, labels, FoldOptions(folds=3)))
    lines = file.read_text().splitlines(keepends=True)
    assert len(read_folds(file, frame)) == 3
    for kept in range(1, len(lines)):
        file.write_text("".join(lines[:kept]))
        with pytest.raises(SerError):
            read_folds(file, frame)
        file.write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
        with pytest.raises(SerError):
            read_folds(file, frame)


@pytest.mark.parametrize("part", [True, False])
def test_other_programs_files_that_were_cut_short(tmp_path: Path, part: bool) -> None:
    """Their files do not say how many folds they have: the utterances that none tests show it."""
    _, frame, _ = corpus(speakers=6, each=4)
    file = tmp_path / "f.csv"
    lines = [f"{i},{n % 3}{',test' if part else ''}\n" for n, i in enumerate(sorted(frame["utterance_id"]))]
    lines.sort(key=lambda line: line.split(",")[1])
    header = f"utterance_id,fold{',part' if part else ''}\n"
    file.write_text(header + "".join(lines))
    assert len(read_folds(file, frame)) == 3
    for kept in (20, 16, 9):  # within the last fold, behind the second, within the second
        file.write_text(header + "".join(lines[:kept]))
        with pytest.raises(ConfigError, match=f"(no fold tests|no fold for) {24 - kept} "):
            read_folds(file, frame)
    whole = [line.replace("\n", ",2\n") for line in lines[:16]]
    file.write_text(header.replace("\n", ",folds\n") + "".join(whole))  # rows that are for training only, and it says so
    if part:
        assert len(read_folds(file, frame)) == 2


def test_a_row_that_is_cut_off(tmp_path: Path) -> None:
    _, frame, _ = corpus(speakers=1, each=4)
    (tmp_path / "f.csv").write_text("utterance_id,fold,part\n00-0,1,test\n00-1,1")
    with pytest.raises(CorpusError, match=r"line 3; expected as many fields .* found fewer: the file may be cut short"):
        read_folds(tmp_path / "f.csv", frame)
