"""Findings over tables and folds: each is found where it is, and not where it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.audit import sharing
from ser.audit.agreement import krippendorff_alpha, measure_agreement, vote_counts
from ser.audit.audit import examine
from ser.audit.findings import _in_words, cramers_v
from ser.audit.record import ERROR, INFO, WARNING, Finding, SeverityCounts
from ser.audit.sharing import locate_copies
from ser.audit.split_data import SplitTable, labelled_rows, split_table
from ser.audit.stores import encoder_findings
from ser.errors import ConfigError, CorpusError
from ser.metadata.build import build
from ser.metadata.copies import Copies, read_copies, write_copies
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.table import make_table
from ser.workspace import Workspace

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def rows(count: int = 240, **columns: Any) -> list[dict[str, Any]]:
    """Utterances of which nothing is to be said under the split train, validation, test by speaker: 4, 1 and 1 of six."""
    made = []
    for k in range(count):
        speaker = k // 4 % 6
        row = {
            "utterance_id": f"u{k:03d}",
            "text": f"sentence {k}",
            "emotion": EMOTIONS[k % 4],
            "speaker": f"s{speaker}",
            "split": ("train", "train", "train", "train", "validation", "test")[speaker],
        }
        made.append({**row, **{name: value(k, row) if callable(value) else value for name, value in columns.items()}})
    return made


def split(made: list[dict[str, Any]], protocol: str = "official", **options: Any) -> SplitTable:
    table = make_table(made, "toy", options.pop("facts", {}))
    return split_table(table, protocol, FoldOptions(**options), "native")


def found(made: list[dict[str, Any]], protocol: str = "official", **options: Any) -> dict[str, Finding]:
    """Findings by kind."""
    findings = examine(split(made, protocol, **options), "native", None).findings
    assert len({f.kind for f in findings}) == len(findings)
    return {f.kind: f for f in findings}


def test_a_clean_table_has_no_findings_but_that_it_is_text() -> None:
    assert set(found(rows())) == {"text-only"}
    audited = examine(split(rows()), "native", None)
    assert audited.counts == SeverityCounts(error=0, warning=0, info=1)


@pytest.mark.parametrize(("group", "severity"), [("speaker", ERROR), ("dialogue", ERROR), ("session", WARNING)])
def test_shared_groups_are_counted_with_the_test_utterances_concerned(group: str, severity: str) -> None:
    def mixed(k: int, row: dict[str, Any]) -> str:
        # Of the 40 test utterances 10 are of a group of training, 4 of one of validation.
        if row["split"] == "test":
            return "t1" if k % 24 < 21 else "shared" if k // 24 % 2 else "t2"
        return "shared" if row["split"] == "train" and k < 8 else f"{row['split']}-{row['speaker']}"

    made = rows(**{group: mixed})
    tested = [r for r in made if r["split"] == "test"]
    concerned = sum(r[group] == "shared" for r in tested)
    assert concerned > 0
    finding = found(made)[f"shared-{group}s"]
    assert (finding.severity, finding.count, finding.of) == (severity, 1, len({r[group] for r in tested}))
    assert finding.examples == ("shared",)
    assert finding.detail.startswith(f"{concerned} of {len(tested)} ({100 * concerned / len(tested):.1f} %)")
    assert f"shared-{group}s-validation" not in found(made)
    assert f"shared-{group}s" not in found(rows(**{group: lambda k, row: f"{row['split']}{k % 3}"}))


def test_groups_shared_with_validation_only() -> None:
    made = rows(speaker=lambda k, row: "both" if row["split"] != "train" else row["speaker"])
    findings = found(made)
    assert "shared-speakers" not in findings
    assert findings["shared-speakers-validation"].severity == WARNING
    assert "hold it out by speaker" in findings["shared-speakers-validation"].action


def test_counts_are_summed_over_folds_and_the_worst_fold_is_told() -> None:
    made = rows()
    finding = found(made, "random", folds=3)["shared-speakers"]
    assert (finding.count, finding.of) == (6, 6)
    assert finding.detail == "240 of 240 (100.0 %) test utterances over 3 folds"
    assert "shared-speakers" not in found(made, "speaker", folds=3)


def test_sentences_of_free_speech_are_a_warning_only_where_most_are_shared() -> None:
    few = found(rows(text=lambda k, row: "Okay." if k % 24 in (0, 20) else f"sentence {k}"))["shared-sentences"]
    assert (few.severity, few.count) == (INFO, 1)
    most = rows(text=lambda k, row: f"sentence {k % 20 if k % 24 < 23 else k}")
    assert found(most)["shared-sentences"].severity == WARNING
    assert "shared-sentences" not in found(rows())


def test_fixed_text_by_the_corpus_s_word_and_by_the_texts_themselves() -> None:
    said = found(rows(), facts={"sentences": 12})["fixed-text"]
    assert (said.severity, said.count) == (WARNING, 12)
    seen = found(rows(text=lambda k, row: f"sentence {k % 7}"))
    assert seen["fixed-text"].count == 7
    assert seen["shared-sentences"].severity == INFO  # the fixed set says it already
    assert "fixed-text" not in found(rows(text=lambda k, row: f"sentence {k % 60}"))
    assert "fixed-text" not in found(rows(96, text=lambda k, row: f"sentence {k % 2}"))  # too few to tell


def test_a_sentence_under_another_label() -> None:
    def text(k: int, row: dict[str, Any]) -> str:
        # k = 20 is a test utterance of anger: training says its words in happiness; 21 (happiness) in both.
        return {20: "one", 1: "one", 21: "two", 0: "two", 5: "two"}.get(k, f"sentence {k}")

    finding = found(rows(text=text))["sentence-other-label"]
    assert (finding.severity, finding.count, finding.of) == (INFO, 2, 40)
    assert finding.detail == "1 of them never under their own"
    assert finding.examples == ("u020", "u021")
    assert "sentence-other-label" not in found(rows(text=lambda k, row: f"{row['emotion']} {k % 12}"))


def test_a_prompt_s_id_is_the_sentence_where_a_table_has_it() -> None:
    frame = make_table(rows(), "toy").frame.assign(prompt="p1")
    assert set(sharing.group_values(frame, "sentence")) == {"p1"}
    assert len(set(sharing.group_values(frame.assign(prompt=""), "sentence"))) == 240


def test_speakers_that_are_not_known() -> None:
    finding = found(rows(speaker=lambda k, row: row["speaker"] if k else ""))["unknown-speakers"]
    assert (finding.severity, finding.count, finding.examples) == (WARNING, 1, ("u000",))
    assert found(rows(speaker=""))["unknown-speakers"].count == 240


def test_imbalance_has_three_steps() -> None:
    def of(ratio: int) -> dict[str, Finding]:
        # One sadness for so many anger in every speaker; 48 blocks of a speaker's ten.
        made = rows(600, speaker=lambda k, row: f"s{k // 10 % 6}",
                    split=lambda k, row: ("train", "train", "train", "train", "validation", "test")[k // 10 % 6])  # fmt: skip
        return found([{**r, "emotion": "sadness" if k % (ratio + 1) == 0 else "anger"} for k, r in enumerate(made)])

    assert "imbalance" not in of(2)
    assert of(4)["imbalance"].severity == INFO
    worst = of(19)["imbalance"]
    assert worst.severity == WARNING
    assert worst.examples == ("anger 570", "sadness 30")
    assert worst.detail == "the largest is 19.0 times the smallest; always saying anger gives 95.0 % accuracy"


def test_a_class_of_a_few_utterances() -> None:
    def of(few: int) -> dict[str, Finding]:
        return found([{**r, "emotion": "surprise" if k < few else r["emotion"]} for k, r in enumerate(rows())])

    assert "rare-class" not in of(10)
    finding = of(9)["rare-class"]
    assert (finding.severity, finding.count, finding.examples) == (WARNING, 1, ("surprise 9",))
    assert "--scheme NAME-without-surprise)" in finding.action


@pytest.mark.parametrize(("part", "severity"), [("train", ERROR), ("validation", INFO), ("test", WARNING)])
def test_a_class_that_a_part_lacks(part: str, severity: str) -> None:
    def emotion(k: int, row: dict[str, Any]) -> str:
        return "anger" if row["split"] == part and row["emotion"] == "sadness" else str(row["emotion"])

    findings = found(rows(emotion=emotion))
    finding = findings[f"missing-class-{part}"]
    assert (finding.severity, finding.count, finding.examples) == (severity, 1, ("official: sadness",))
    assert [kind for kind in findings if kind.startswith("missing")] == [f"missing-class-{part}"]


def test_small_test_parts() -> None:
    finding = found(rows(120), "speaker")["small-test"]
    assert (finding.severity, finding.count, finding.of) == (WARNING, 6, 6)
    assert "the smallest has 20: a 95 % interval of accuracy is up to ±22 points wide" in finding.detail
    assert "small-test" not in found(rows(), "speaker")


def test_what_the_scheme_leaves_out_is_told() -> None:
    finding = found(rows(emotion=lambda k, row: row["emotion"] if k else ""))["left-out"]
    assert (finding.severity, finding.count, finding.detail) == (INFO, 1, "no emotion 1")
    many: Any = {"label": "fear;calm", "emotion": ""}
    assert _in_words(pd.DataFrame([many, {"label": "x", "emotion": "fear"}])).tolist() == ["fear;calm", "fear"]
    with pytest.raises(ConfigError, match=r"toy: scheme native leaves 0 classes .* give its table a column emotion"):
        labelled_rows(make_table(rows(emotion=""), "toy"), "native")


def test_facts_of_the_corpus() -> None:
    findings = found(rows(), facts={"utterances_of_release": 250, "synthetic": True})
    assert (findings["release-count"].severity, findings["release-count"].detail) == (WARNING, "10 are missing")
    assert findings["synthetic"].severity == INFO
    same = found(rows(), facts={"utterances_of_release": 240, "synthetic": False})
    assert not {"release-count", "synthetic"} & set(same)


def test_a_protocol_that_breaks_its_promise_is_an_error_of_the_audit() -> None:
    made = rows(session=lambda k, row: f"ses{k % 5}")  # seed1 takes sessions, and promises speakers
    audited = examine(split(made, "seed1"), "native", None)
    finding = next(f for f in audited.findings if f.kind == "broken-promise")
    assert finding.severity == ERROR
    assert "promises disjoint speakers: 6 speakers" in finding.detail
    assert audited.verdict is None
    assert "broken-promise" not in found(rows(), "seed1")


def test_findings_from_elsewhere_are_sorted_in() -> None:
    more = [Finding("elsewhere", ERROR, "something", 1)]
    audited = examine(split(rows()), "native", None, more=more)
    assert [f.kind for f in audited.findings] == ["elsewhere", "text-only"]
    assert audited.counts.error == 1


def test_encoders_that_have_seen_the_corpus() -> None:
    trained = {"weights_sha256": "ab"}
    stores = {
        "egemaps": {"encoder": "egemaps"},
        "w2v": {"encoder": "mine", **trained},
        "signal": {"encoder": "my_own"},
        "whisper": {"encoder": "whisper-small", **trained},
    }
    (unknown,) = encoder_findings(stores, "ravdess")
    assert (unknown.kind, unknown.severity, unknown.examples) == ("encoder-unknown", INFO, ("w2v", "whisper"))
    stores = {"e2v": {"encoder": "emotion2vec_plus_large", **trained}, "base": {"encoder": "wav2vec2-base", **trained}}
    (met,) = encoder_findings(stores, "ravdess")
    assert (met.kind, met.severity, met.count, met.of) == ("encoder-seen", WARNING, 1, 2)
    assert met.examples[0].startswith("e2v: fine-tuning (fine-tuned in rounds")
    stores = {"x": {"model": "imported", "declared_encoder": "emotion2vec_plus_large"}}
    assert encoder_findings(stores, "ravdess")[0].examples[0].startswith("x: fine-tuning (")
    assert encoder_findings({"egemaps": {}}, "ravdess") == []


# --- agreement ---

# Krippendorff (2011), section C: four observers, twelve units, five values; 0: no vote. He gives 0.743 for nominal data.
RELIABILITY = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def test_alpha_is_krippendorffs() -> None:
    counts = np.array([[(RELIABILITY[:, unit] == value).sum() for value in range(1, 6)] for unit in range(12)])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)


def test_alpha_by_hand() -> None:
    # Two observers, binary, ten units (ibid., section A): four disagree, alpha = 1 - 19 * 8 / (2 * 14 * 6) = 0.095.
    counts = np.array([[2, 0]] * 5 + [[1, 1]] * 4 + [[0, 2]])
    assert krippendorff_alpha(counts) == pytest.approx(1 - 19 * 8 / (2 * 14 * 6))
    assert krippendorff_alpha(np.array([[3, 0], [0, 3]])) == 1
    assert np.isnan(krippendorff_alpha(np.array([[3, 0], [3, 0]])))
    assert np.isnan(krippendorff_alpha(np.array([[1, 0], [0, 1]])))  # one vote each: nothing to compare


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(lambda v: sum(v) > 1), min_size=2, max_size=9))
def test_alpha_is_one_less_the_disagreement_of_pairs(votes: list[list[int]]) -> None:
    """By its definition: pairs of votes within units against pairs of all votes."""
    units = [[value for value, n in enumerate(unit) for _ in range(n)] for unit in votes]
    total = sum(map(len, units))
    observed = sum(sum(a != b for a in u for b in u) / (len(u) - 1) for u in units) / total
    every = [value for unit in units for value in unit]
    expected = sum(a != b for a in every for b in every) / (total * (total - 1))
    value = krippendorff_alpha(np.array(votes))
    assert np.isnan(value) if expected == 0 else value == pytest.approx(1 - observed / expected)


def test_votes_are_counted_from_shares() -> None:
    counts = np.array([[9, 1], [10, 0], [5, 5], [7, 3], [1, 9], [2, 8], [6, 3], [3, 6], [4, 6], [3, 7]])
    shares = np.round(counts / counts.sum(axis=1, keepdims=True), 6)
    inferred = vote_counts(shares)
    exact = [k for k in range(10) if k not in (6, 7)]
    assert inferred[exact].tolist() == counts[exact].tolist()
    assert inferred[6].tolist() == [6, 3]  # thirds: nine is the multiple of three next to ten
    assert vote_counts(np.array([[0.123457, 0.876543]])).sum() == 0


def test_agreement_is_told_with_what_has_no_majority() -> None:
    votes = {0: {"anger": 0.5, "fear": 0.5}, 1: {"happiness": 0.2, "anger": 0.8}}
    made = rows(votes=lambda k, row: votes.get(k, {row["emotion"]: 1.0}))
    findings = found(made)
    assert (findings["agreement"].count, findings["agreement"].severity) == (240, INFO)
    assert (findings["no-majority"].count, findings["no-majority"].examples) == (1, ("u000",))
    assert (findings["label-not-first"].count, findings["label-not-first"].examples) == (1, ("u001",))
    assert findings["no-majority"].severity == findings["label-not-first"].severity == INFO
    often = found(rows(votes=lambda k, row: {"anger": 0.5, "fear": 0.5} if k % 5 == 0 else {row["emotion"]: 1.0}))
    assert often["no-majority"].severity == WARNING
    unanimous = found(rows(votes=lambda k, row: {row["emotion"]: 1.0}))
    assert not {"no-majority", "label-not-first"} & set(unanimous)
    assert "agreement" not in found(rows())


def test_votes_that_do_not_sum_to_one_have_no_alpha() -> None:
    numbers = measure_agreement(make_table(rows(votes=lambda k, row: {row["emotion"]: 0.9}), "toy").frame)
    assert numbers is not None
    assert (numbers.alpha, numbers.complete, numbers.majority_share) == (None, 0, 0.9)


# --- copies and the verdict ---


def test_copies_are_counted_where_they_lie() -> None:
    frame = make_table(rows(12), "toy").frame
    fold = Fold("0", np.arange(6), np.arange(6, 8), np.arange(8, 12))
    pairs = [("u000", "u008"), ("u001", "u002"), ("u000", "u009"), ("u006", "u010"), ("u000", "gone")]
    lies = locate_copies(pairs, frame, [fold])
    assert lies.pairs == tuple(pairs[:4])
    assert lies.across == (pairs[0], pairs[2], pairs[3])
    assert lies.test_utterances == 3
    assert lies.labels_differ == 2  # u000 and u008 are both anger, u006 and u010 both neutral
    assert locate_copies([("u008", "u009")], frame, [fold]).across == ()


def test_a_copy_of_a_copy_counts() -> None:
    """u008 (test) equals u009 (test), which equals u000 (training)."""
    frame = make_table(rows(12), "toy").frame
    fold = Fold("0", np.arange(6), np.arange(6, 8), np.arange(8, 12))
    assert locate_copies([("u009", "u008"), ("u000", "u009")], frame, [fold]).test_utterances == 2


def test_a_record_s_verdict_has_the_copies_of_its_own_folds() -> None:
    frame = make_table(rows(12), "toy").frame
    folds = [Fold("0", np.arange(6), np.arange(6, 8), np.arange(8, 12))]
    assert sharing.judge_folds("toy", "random", frame, folds).copies is None
    report = sharing.judge_folds("toy", "random", frame, folds, Copies((("u000", "u008"),), (("u001", "u010"),)))
    assert report.facts()["copies"]["identical"] == {"pairs": 1, "across": 1, "test_utterances": 1, "labels_differ": 0}
    said = sharing.sharing_stamps(report, {}, {"audio"})
    assert "identical audio: 1 test utterances are in training or validation too" in said
    assert "the same recordings: 1 test utterances are in training or validation too, some under another label" in said
    within = sharing.judge_folds("toy", "random", frame, folds, Copies((("u000", "u001"),)))
    assert not any("audio" in s for s in sharing.sharing_stamps(within, {}, {"audio"}))


def test_copies_are_kept_for_the_table_they_were_found_in(tmp_path: Path) -> None:
    space, copies = Workspace(tmp_path), Copies((("a", "b"),), (("c", "d"),))
    write_copies(space, "toy", "abc", copies)
    assert read_copies(space, "toy", "abc") == copies
    assert read_copies(space, "toy", "other") is None
    assert read_copies(space, "none", "abc") is None
    (tmp_path / "metadata" / "toy.copies.json").write_text("{")
    with pytest.raises(CorpusError, match="ser audit --dataset toy"):
        read_copies(space, "toy", "abc")


def test_association_of_two_nominal_variables() -> None:
    assert cramers_v(np.array([[10, 0], [0, 10]])) == pytest.approx(1)
    assert cramers_v(np.array([[5, 5], [5, 5]])) == pytest.approx(0)
    assert cramers_v(np.array([[5], [5]])) == 0
    # chi2 = 20 * (8 * 8 - 2 * 2)^2 / 10^4 = 7.2; V = sqrt(7.2 / 20)
    assert cramers_v(np.array([[8, 2], [2, 8]])) == pytest.approx(0.6)


# --- real corpora ---


def test_meld_shares_69_speakers(real: Path) -> None:
    made = split_table(build("meld", real / "meld", quiet=True).table, None, FoldOptions(), "native")
    findings = {f.kind: f for f in examine(made, "native", None).findings}
    assert made.protocol == "official"
    shared = findings["shared-speakers"]
    assert (shared.severity, shared.count, shared.of) == (ERROR, 69, 100)
    split = {part: made.frame[made.frame["split"] == part] for part in ("train", "test")}
    concerned = split["test"]["speaker"].isin(set(split["train"]["speaker"])).sum()
    assert shared.detail.startswith(f"{concerned:,} of 2,610")
    assert "shared-dialogues" not in findings
    assert findings["imbalance"].severity == WARNING


def test_emodb_shares_all_speakers_in_emoboxs_folds(real: Path) -> None:
    table = build("emodb", real / "emodb", quiet=True).table
    made = split_table(table, "emobox", FoldOptions(file=real / "emodb_emobox_folds.csv"), "native")
    shared = next(f for f in examine(made, "native", None).findings if f.kind == "shared-speakers")
    assert (shared.severity, shared.count, shared.of) == (ERROR, 10, 10)
    by_speaker = examine(split_table(table, "speaker", FoldOptions(), "native"), "native", None)
    assert "shared-speakers" not in {f.kind for f in by_speaker.findings}


def test_cremads_votes_give_the_alpha_of_its_counts(real: Path) -> None:
    import csv

    numbers = measure_agreement(build("cremad", real / "cremad_metadata", quiet=True).table.frame)
    assert numbers is not None
    (file,) = (real / "cremad_metadata").rglob("tabulatedVotes.csv")
    lines = [r for r in csv.DictReader(file.open()) if r[""].startswith("1")]  # of those who heard the voice alone
    counts = np.array([[int(r[letter]) for letter in "ADFHNS"] for r in lines])
    assert numbers.alpha == pytest.approx(krippendorff_alpha(counts), abs=0.005)
    assert numbers.without_majority == (counts.max(axis=1) <= counts.sum(axis=1) / 2).sum()
