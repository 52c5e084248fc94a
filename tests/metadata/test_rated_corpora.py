"""Corpora with several listeners' classes and ratings: whose votes count, which scale, which part is the test."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

from ser.errors import ConfigError, CorpusError
from ser.metadata.build import build, keep
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import corpus, parse_corpus
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import load_table
from ser.workspace import Workspace


def rows(plugin: str, root: Path) -> dict[str, dict[str, Any]]:
    frame = parse_corpus(plugin, root).frame
    return {row["utterance_id"]: row for row in frame.to_dict("records")}


def votes(row: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = json.loads(row["votes"])
    return found


# MSP-Podcast


def test_msppodcast_keeps_turns_without_a_majority_and_counts_first_choices(tmp_path: Path) -> None:
    found = rows("msppodcast", corpus("msppodcast").example(tmp_path))
    turn, split = found["MSP-PODCAST_0001_0008"], found["MSP-PODCAST_0001_0019"]
    assert (turn["emotion"], turn["speaker"], turn["gender"], turn["split"]) == ("neutral", "127", "male", "test")
    assert (turn["arousal"], turn["valence"], turn["dominance"]) == (2.2, 4.0, 2.6)
    assert (turn["text"], turn["session"]) == ("And that is what he did.", "MSP-PODCAST_0001")
    assert votes(turn) == {"neutral": 0.5, "other": 0.5}
    assert (split["label"], split["emotion"], split["valence"]) == ("X", "", 3.8)
    assert votes(split) == {"happiness": 0.5, "sadness": 0.5}
    unknown, second = found["MSP-PODCAST_0023_0161"], found["MSP-PODCAST_0155_0004"]
    assert (unknown["speaker"], unknown["gender"], unknown["split"]) == ("", "", "train")
    assert (second["split"], second["votes"]) == ("", "")


DETAILS = {
    "labels_detailed.csv": "FileName,Workers,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom\n"
    "MSP-PODCAST_0001_0008.wav,WORKER0000001,Fear,Fear,1,4,1\n"
    "MSP-PODCAST_0001_0008.wav,WORKER0000002,Fear,,1,4,1\n"
    'MSP-PODCAST_0001_0008.wav,WORKER0000003,"Other-fond, or so",,1,4,1\n',
    "labels_detailed.json": json.dumps(
        {
            "MSP-PODCAST_0001_0008.wav": {
                f"WORKER000000{n}": {"EmoClass_Major": word, "EmoClass_Second": "", "EmoAct": "1"}
                for n, word in enumerate(("Fear", "Fear", "Other"))
            }
        }
    ),
}


@pytest.mark.parametrize("name", DETAILS)
def test_msppodcast_of_other_releases(name: str, tmp_path: Path) -> None:
    root = corpus("msppodcast").example(tmp_path)
    labels = root / "Labels"
    (labels / "labels_detailed.csv").unlink()
    write_text(root / "label" / name, DETAILS[name])
    table = (labels / "labels_consensus.csv").read_text().replace("Test1", "Validation")
    write_text(root / "label" / "labels_concensus.csv", table)
    (labels / "labels_consensus.csv").unlink()
    (root / "readme.txt").unlink()
    made = parse_corpus("msppodcast", root)
    first = made.frame.to_dict("records")[0]
    assert votes(first) == {"fear": 0.666667, "other": 0.333333}
    assert first["split"] == "validation"
    assert made.facts["release"] is made.facts["utterances_of_release"] is None


def test_msppodcast_reads_the_highest_labels_and_lists_test3_without_any(tmp_path: Path) -> None:
    root = corpus("msppodcast").example(tmp_path)
    old = "Previous_releases_information/previous_releases_info/v1.8/Labels/labels_concensus.csv"
    write_text(root / old, "FileName\n")
    for name in ("0300_0001", "0300_0002"):
        write_tone(root / "Audios" / f"MSP-PODCAST_{name}.wav")
    write_text(root / "Partitions.txt", "Test3; MSP-PODCAST_0300_0001.wav\nTest3; MSP-PODCAST_0300_0009.wav\n")
    built = build("msppodcast", root, quiet=True)
    last = built.table.frame.to_dict("records")[-1]
    assert (last["utterance_id"], last["label"], last["emotion"]) == ("MSP-PODCAST_0300_0001", "", "")
    assert "audio files without labels (MSP-PODCAST_0300_0002) left out: 1" in built.notes


def test_msppodcast_is_tested_on_test1_and_by_its_fold_on_test2(tmp_path: Path) -> None:
    root = corpus("msppodcast").example(tmp_path / "corpus")
    table = root / "Labels" / "labels_consensus.csv"
    write_text(table, table.read_text() + "MSP-PODCAST_0400_0001.wav,S,1,1,1,9,Female,Development\n")
    write_tone(root / "Audios" / "MSP-PODCAST_0400_0001.wav")
    space = Workspace(tmp_path)
    keep(build("msppodcast", root, quiet=True), space)
    made = load_table("msppodcast", space)
    frame = made.frame
    labels = frame["label"].to_numpy()
    (official,) = make_folds("official", made, frame, labels, FoldOptions())
    assert [frame["label"][k] for k in official.test] == ["N", "X"]
    assert [frame["label"][k] for k in official.validation] == ["S"]
    (second,) = make_folds("file", made, frame, labels, FoldOptions(file=space.folds("msppodcast")))
    assert [frame["label"][k] for k in second.test] == ["O"]
    assert [frame["label"][k] for k in second.train] == ["A"]


def test_msppodcast_without_audio_names_the_files_that_it_lacks(tmp_path: Path) -> None:
    root = corpus("msppodcast").example(tmp_path)
    (root / "Audios" / "MSP-PODCAST_0001_0008.wav").unlink()
    (root / "Audios" / "MSP-PODCAST_0001_0019.wav").unlink()
    built = build("msppodcast", root, quiet=True)
    assert built.unusable.reasons == {"not there": ["Audios/MSP-PODCAST_0001_0019.wav"]}
    assert "utterances without their audio: 1 (text only)" in built.notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("labels_consensus.csv", "FileName,EmoClass\n", r"expected columns FileName, EmoClass, EmoAct"),
     ("labels_detailed.csv", "FileName,Emotion\n", r"expected columns FileName and EmoDetail"),
     ("labels_detailed.json", '{"a.wav": ["Fear"]}', r"labels_detailed.json: a.wav"),
     ("labels_detailed.json", "[1]", r"found.*1")],
)  # fmt: skip
def test_msppodcast_with_another_table(name: str, content: str, message: str, tmp_path: Path) -> None:
    root = corpus("msppodcast").example(tmp_path)
    (root / "Labels" / "labels_detailed.csv").unlink()
    write_text(root / "Labels" / name, content)
    with pytest.raises(CorpusError, match=message):
        parse_corpus("msppodcast", root)


# MSP-IMPROV


def test_mspimprov_counts_a_listener_once_and_reads_all_ratings(tmp_path: Path) -> None:
    found = rows("mspimprov", corpus("mspimprov").example(tmp_path))
    turn, target = found["MSP-IMPROV-S01A-F01-P-FM01"], found["MSP-IMPROV-S02H-M01-T-FM01"]
    assert (turn["label"], turn["emotion"], turn["speaker"], turn["gender"]) == ("X", "", "M01", "male")
    assert votes(turn) == {"neutral": 0.5, "other": 0.5}
    assert (turn["arousal"], turn["naturalness"], turn["prompt"]) == (2.8, 3.6, "")
    assert math.isnan(turn["dominance"])
    assert (target["emotion"], target["prompt"], target["session"]) == ("happiness", "S02", "session1")
    assert (target["text"], target["valence"], target["dialogue"]) == ("How can I not?", 4.5, "S02H-M01-T")
    read = found["MSP-IMPROV-S01A-F02-R-FF01"]
    assert (read["speaker"], read["votes"]) == ("F02", "")


def test_mspimprov_without_its_evaluation_and_with_a_line_that_is_none(tmp_path: Path) -> None:
    root = corpus("mspimprov").example(tmp_path)
    file = root / "Evaluation.txt"
    write_text(file, file.read_text().replace("H; A:2.000000; V", "H; V"))
    built = build("mspimprov", root, quiet=True)
    assert "malformed lines of Evaluation.txt left out: 1" in built.notes
    assert "audio files that are not in Evaluation.txt left out: 1" in built.notes
    file.unlink()
    with pytest.raises(CorpusError, match=r"holds no Evaluation\.txt"):
        parse_corpus("mspimprov", root)


# CMU-MOSEI


def test_mosei_names_all_emotions_that_are_there_and_rates_each(tmp_path: Path) -> None:
    made = parse_corpus("mosei", corpus("mosei").example(tmp_path))
    found = {row["utterance_id"]: row for row in made.frame.to_dict("records")}
    happy, both, afraid = found["-aBcDeFgH12[0]"], found["-aBcDeFgH12[1]"], found["45678[0]"]
    assert (happy["label"], happy["emotion"], happy["sentiment"], happy["start"]) == ("happy", "happiness", 1, 0.8)
    assert happy["happiness"] == pytest.approx(0.6667)
    assert (both["label"], both["emotion"]) == ("sad;anger", "sadness")
    assert (both["sadness"], both["sentiment"], both["start"], both["end"]) == (1, -2, 0, 0.8)  # from before the file on
    assert (both["text"], happy["text"]) == ("Now ___ this is good.", "And I'd say so again.")
    assert (happy["split"], afraid["split"], afraid["session"], afraid["speaker"]) == ("train", "test", "45678", "")
    assert made.dimensions["sentiment"] == {"low": -3, "high": 3}
    assert made.dimensions["fear"] == {"low": 0, "high": 3}


def test_mosei_with_equal_or_no_emotions_has_none(tmp_path: Path) -> None:
    root = corpus("mosei").example(tmp_path)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "a") as file:
        file["All Labels/data/45678/features"][0] = [0, 1, 0, 0, 1, 0, 0]
        file["All Labels/data/-aBcDeFgH12/features"][0] = [0, 0, 0, 0, 0, 0, 0]
    found = rows("mosei", root)
    assert [(found[k]["label"], found[k]["emotion"]) for k in ("45678[0]", "-aBcDeFgH12[0]")] == [
        ("happy;surprise", ""),
        ("", ""),
    ]


def test_mosei_without_recordings_split_or_labels(tmp_path: Path) -> None:
    root = corpus("mosei").example(tmp_path)
    shutil.rmtree(root / "Raw" / "Audio")
    (root / "cmu_mosei_std_folds.py").write_text("standard_train_fold = open('/etc/passwd')\n")
    with pytest.raises(CorpusError, match=r"cannot read .*std_folds\.py; expected lists standard_train_fold"):
        parse_corpus("mosei", root)
    (root / "cmu_mosei_std_folds.py").unlink()
    write_tone(root / "Raw" / "Audio" / "Full" / "45678.wav", seconds=2.0)
    built = build("mosei", root, quiet=True)
    assert list(built.table.frame["path"]) == ["", "", "Raw/Audio/Full/45678.wav"]
    assert "segments without their recording: 2" in built.notes
    assert "not there: cmu_mosei_std_folds.py; so no official split" in built.notes
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "a") as file:
        del file["All Labels/data/45678/features"]
    with pytest.raises(CorpusError, match=r"cannot read .*Labels\.csd; expected HDF5"):
        parse_corpus("mosei", root)


# Emozionalmente, JL-Corpus, TurEV-DB


def test_emozionalmente_has_the_intended_emotion_and_the_listeners_votes(tmp_path: Path) -> None:
    found = rows("emozionalmente", corpus("emozionalmente").example(tmp_path))
    assert votes(found["1001"]) == {"happiness": 0.666667, "surprise": 0.333333}
    assert votes(found["1003"]) == {"disgust": 1.0}  # nobody recognised the anger
    assert (found["1003"]["emotion"], found["1003"]["speaker"], found["1003"]["gender"]) == ("anger", "ugo7", "male")
    assert (found["1001"]["text"], found["1001"]["age"], found["1002"]["votes"]) == ("Vorrei un bicchiere, grazie.", 31, "")


def test_emozionalmente_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    root = corpus("emozionalmente").example(tmp_path)
    top = root / "emozionalmente_dataset"
    (top / "audio" / "1002.wav").rename(top / "audio" / "9.wav")
    (top / "metadata" / "users.csv").unlink()
    built = build("emozionalmente", root, quiet=True)
    assert built.unusable.reasons == {"not there": ["audio/1002.wav"]}
    assert {"not there: users.csv", "audio files that are not in samples.csv left out: 1"} <= set(built.notes)


def test_jlcorpus_sentences_of_a_secondary_emotion_are_its_own(tmp_path: Path) -> None:
    found = rows("jlcorpus", corpus("jlcorpus").example(tmp_path))
    assert (found["female1_angry_10a_1"]["prompt"], found["female2_anxious_10a_1"]["prompt"]) == ("10", "anxious10")
    assert found["male2_excited_10b_2"]["prompt"] == "10"
    assert (found["female2_anxious_10a_1"]["label"], found["female2_anxious_10a_1"]["emotion"]) == ("anxious", "other")


def test_turevdb_takes_the_emotion_of_the_folder(tmp_path: Path) -> None:
    root = corpus("turevdb").example(tmp_path)
    write_tone(root / "Sound Source" / "1984_sk_okul.wav")
    built = build("turevdb", root, quiet=True)
    assert sorted(built.table.frame["emotion"]) == ["anger", "calm", "calm"]
    assert "audio files outside of Angry, Calm, Happy, Sad left out: 1" in built.notes


# M3ED, EMNS


def test_m3ed_has_all_emotions_the_annotators_votes_and_the_split_of_the_series(tmp_path: Path) -> None:
    found = rows("m3ed", corpus("m3ed").example(tmp_path))
    both, last = found["anjia_1_2"], found["woju_1_1"]
    assert (both["label"], both["emotion"], both["split"], both["turn"]) == ("Surprise;Happy", "surprise", "train", 2)
    assert votes(both) == {"happiness": 0.5, "surprise": 0.5}  # 1/2 + 0 + 1 and 1/2 + 1 + 0, of three annotators
    assert (last["speaker"], last["gender"], last["split"], last["path"]) == ("woju_陈", "male", "test", "")
    assert last["duration"] == 2.0  # of its times, as there is no audio
    assert {row["speaker"] for row in found.values()} == {"anjia_王", "anjia_李", "woju_陈"}


def test_m3ed_names_what_it_lacks(tmp_path: Path) -> None:
    root = corpus("m3ed").example(tmp_path)
    (root / "splitInfo" / "movie_list_test.txt").unlink()
    write_tone(root / "modality_speech" / "A_anjia_9_9.wav")
    notes = build("m3ed", root, quiet=True).notes
    assert "not there: splitInfo/movie_list_*.txt of test; so those rows have no split" in notes
    assert "audio files that are not in annotation.json left out: 1" in notes
    assert "utterances without their audio: 1 (text only)" in notes


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "annotation.json is damaged"), ("[]", "not of the release's form"), ('{"a": {"a_1": {"Dialog": []}}}', "a_1"),
     ('{"a": {"a_1": {"Dialog": {"a_1_1": {"Speaker": "A"}}}}}', "a_1_1: without EmoAnnotation, Text")],
)  # fmt: skip
def test_m3ed_with_another_file(content: str, message: str, tmp_path: Path) -> None:
    write_text(tmp_path / "annotation.json", content)
    with pytest.raises(CorpusError, match=message):
        parse_corpus("m3ed", tmp_path)


def test_emns_takes_a_cleaned_recording_before_the_raw_one(tmp_path: Path) -> None:
    root = corpus("emns").example(tmp_path)
    write_tone(root / "raw_webm" / "recorded_audio_aB1.wav")
    write_tone(root / "raw_webm" / "recorded_audio_xY9.wav")
    built = build("emns", root, quiet=True)
    first, second = built.table.frame.to_dict("records")
    assert (first["path"], first["intensity"], first["speaker"]) == ("cleaned_webm/recorded_audio_aB1.wav", "7", "3")
    assert (second["text"], second["emotion"]) == ('"No!", she said.', "surprise")
    assert "rows of metadata.csv without their recording left out: 1" in built.notes
    assert "audio files that are not in metadata.csv left out: 1" in built.notes


# Whose votes


@pytest.mark.parametrize(
    ("plugin", "utterance", "kinds"),
    [
        ("cremad", "1001_IEO_ANG_HI", {
            "voice": {"anger": 0.75, "disgust": 0.25},
            "face": {"fear": 1.0},
            "audiovisual": {"happiness": 1.0},
            "all": {"anger": 0.142857, "disgust": 0.047619, "fear": 0.428571, "happiness": 0.380952},  # 3, 1, 9, 8 of 21
        }),
        ("iemocap", "Ses01F_impro01_M000", {
            "evaluators": {"neutral": 0.333333, "anger": 0.166667, "frustration": 0.5},
            "actors": {"happiness": 1.0},
            "all": {"neutral": 0.25, "anger": 0.125, "frustration": 0.375, "happiness": 0.25},
        }),
    ],
)  # fmt: skip
def test_whose_votes_are_taken(plugin: str, utterance: str, kinds: dict[str, dict[str, float]], tmp_path: Path) -> None:
    root = corpus(plugin).example(tmp_path)
    assert list(corpus(plugin).VOTES_OF) == list(kinds)  # type: ignore[attr-defined]
    for kind, shares in kinds.items():
        table = parse_corpus(plugin, root, votes_of=kind)
        (row,) = table.frame[table.frame["utterance_id"] == utterance].to_dict("records")
        assert votes(row) == shares
        assert table.facts["votes_of"] == kind
    assert parse_corpus(plugin, root).facts["votes_of"] == next(iter(kinds))


def test_votes_that_a_corpus_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown votes of cremad: 'faces'"):
        parse_corpus("cremad", corpus("cremad").example(tmp_path / "a"), votes_of="faces")
    with pytest.raises(ConfigError, match="--votes face: emovo has no votes to choose among"):
        parse_corpus("emovo", corpus("emovo").example(tmp_path / "b"), votes_of="face")


def test_cremad_votes_agree_with_the_summary_of_the_release(real: Path) -> None:
    summary = {r["FileName"]: r for r in csv.DictReader((real / "cremad_metadata/processedResults/summaryTable.csv").open())}
    letters = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}
    for kind, column in {"voice": "VoiceVote", "face": "FaceVote", "audiovisual": "MultiModalVote"}.items():
        frame = parse_corpus("cremad", real / "cremad_metadata", votes_of=kind).frame
        for name, text in zip(frame["utterance_id"], frame["votes"], strict=True):
            shares = json.loads(text)
            most = {emotion for emotion, share in shares.items() if share == max(shares.values())}
            assert most == {letters[letter] for letter in summary[name][column].split(":")}
