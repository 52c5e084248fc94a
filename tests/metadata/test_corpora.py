"""The hard facts of each corpus: what is text and what is not, whose votes count, which clip is whose."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.errors import CorpusError
from ser.metadata.build import build
from ser.metadata.corpora import cremad, iemocap, ravdess
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import corpus, parse_corpus
from ser.metadata.parsing import files_below

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 66044\n"


def rows(plugin: str, root: Path) -> dict[str, dict[str, Any]]:
    frame = parse_corpus(plugin, root).frame
    return {row["utterance_id"]: row for row in frame.to_dict("records")}


# RAVDESS


def test_ravdess_reads_the_seven_numbers(tmp_path: Path) -> None:
    row = rows("ravdess", corpus("ravdess").example(tmp_path))["03-01-06-02-02-01-12"]
    assert (row["emotion"], row["label"], row["intensity"]) == ("fear", "fearful", "strong")
    assert (row["speaker"], row["gender"], row["text"]) == ("Actor_12", "female", "Dogs are sitting by the door.")
    assert row["path"] == "Actor_12/03-01-06-02-02-01-12.wav"


def test_ravdess_leaves_song_video_sound_and_copies_out(tmp_path: Path) -> None:
    root = corpus("ravdess").example(tmp_path)
    write_tone(root / "Actor_01" / "03-02-03-01-01-01-01.wav")
    write_tone(root / "Actor_01" / "01-01-03-01-01-01-01.wav")
    shutil.copytree(root / "Actor_12", root / "audio_speech_actors_01-24" / "Actor_12")  # as one public copy has it
    built = build("ravdess", root, quiet=True)
    assert len(built.table.frame) == 3
    assert len(built.notes) == 3
    assert "song files left out: 1" in built.notes


def test_ravdess_below_its_archive_folder(tmp_path: Path) -> None:
    corpus("ravdess").example(tmp_path / "audio_speech_actors_01-24")
    frame = parse_corpus("ravdess", tmp_path).frame
    assert frame["path"].str.startswith("audio_speech_actors_01-24/Actor_").all()


def test_ravdess_emobox_folds_are_24_actors_in_six() -> None:
    actors = [actor for fold in ravdess.EMOBOX_FOLDS for actor in fold]
    assert len(ravdess.EMOBOX_FOLDS) == 6
    assert sorted(actors) == [f"Actor_{n:02d}" for n in range(1, 25)]


def test_an_emotion_that_the_corpus_has_not_is_an_error(tmp_path: Path) -> None:
    root = corpus("ravdess").example(tmp_path)
    write_tone(root / "Actor_01" / "03-01-09-01-01-01-01.wav")
    with pytest.raises(CorpusError, match=r"03-01-09-01-01-01-01.wav: unknown label '09'; expected one of neutral, calm"):
        parse_corpus("ravdess", root)


# EmoDB


def test_emodb_reads_the_code_the_sentence_and_the_recognition_rate(tmp_path: Path) -> None:
    found = rows("emodb", corpus("emodb").example(tmp_path))
    happy = found["03a01Fa"]
    assert (happy["emotion"], happy["label"], happy["text"]) == ("happiness", "F", "Der Lappen liegt auf dem Eisschrank.")
    assert (happy["speaker"], happy["gender"], happy["age"], happy["language"]) == ("03", "male", 31, "de")
    assert json.loads(happy["votes"]) == {"happiness": 0.65}  # what the other 35 % heard is not published
    assert json.loads(found["08b09Wb"]["votes"]) == {"anger": 1.0}
    assert found["16a07Nc"]["votes"] == ""
    assert (float(happy["recognition"]), float(happy["naturalness"])) == (65, 35)  # percent of the listeners
    assert found["16a07Nc"]["naturalness"] != found["16a07Nc"]["naturalness"]  # NaN


def test_emodb_from_its_wav_folder_and_without_rates(tmp_path: Path) -> None:
    root = corpus("emodb").example(tmp_path)
    assert rows("emodb", root / "wav")["03a01Fa"]["votes"] != ""
    (root / "erkennung.txt").unlink()
    assert rows("emodb", root)["03a01Fa"]["votes"] == ""


def test_emodb_that_lies_there_twice_is_used_once(tmp_path: Path) -> None:
    root = corpus("emodb").example(tmp_path)
    shutil.copytree(root / "wav", root / "wav_16k")
    built = build("emodb", root, quiet=True)
    assert list(built.table.frame["path"]) == ["wav/03a01Fa.wav", "wav/08b09Wb.wav", "wav/16a07Nc.wav"]
    assert built.notes == ["second copies of a file left out: 3"]


def test_emodb_with_an_empty_rate(tmp_path: Path) -> None:
    root = corpus("emodb").example(tmp_path)
    write_text(root / "erkennung.txt", "Nr.\tSatz\terkannt\tnatuerlich\n1\t03a01Fa.wav\t65,00\t\n")
    happy = rows("emodb", root)["03a01Fa"]
    assert float(happy["recognition"]) == 65
    assert np.isnan(happy["naturalness"])


def test_emodb_with_a_rate_that_is_none(tmp_path: Path) -> None:
    root = corpus("emodb").example(tmp_path)
    write_text(root / "erkennung.txt", "Nr.\tSatz\terkannt\n1\t03a01Fa.wav\tviel\n")
    with pytest.raises(CorpusError, match=r"03a01Fa.wav; expected a percentage such as 65,00; found 'viel'"):
        parse_corpus("emodb", root)


# CREMA-D


def test_cremad_counts_the_listeners_only(tmp_path: Path) -> None:
    found = rows("cremad", corpus("cremad").example(tmp_path))
    row = found["1001_IEO_ANG_HI"]
    assert json.loads(row["votes"]) == {"anger": 0.75, "disgust": 0.25}  # not the faces' fear, nor the videos' happiness
    assert (row["text"], row["intensity"], row["emotion"]) == ("It's eleven o'clock.", "high", "anger")
    assert (row["speaker"], row["gender"], row["age"]) == ("1001", "male", 51)
    assert found["1002_WSI_SAD_LO"]["gender"] == "female"


def test_cremad_levels_are_those_of_each_way_and_of_equal_votes_the_mean(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path)
    found = rows("cremad", root)
    levels = ("voice_level", "face_level", "audiovisual_level")
    assert [found["1001_IEO_ANG_HI"][name] for name in levels] == [69.5, 92.22, 64.78]
    assert [found["1040_ITH_SAD_XX"][name] for name in levels] == [pytest.approx(47.9), 57, 57.38]
    file = root / "processedResults" / "summaryTable.csv"
    write_text(file, file.read_text().replace('"69.5"', '"high"'))
    with pytest.raises(CorpusError, match=r"1001_IEO_ANG_HI; expected levels"):
        parse_corpus("cremad", root)


def test_cremad_mends_the_one_name_that_lacks_a_letter(tmp_path: Path) -> None:
    row = rows("cremad", corpus("cremad").example(tmp_path))["1040_ITH_SAD_XX"]
    assert row["path"] == "AudioWAV/1040_ITH_SAD_X.wav"
    assert row["intensity"] == "unspecified"
    assert json.loads(row["votes"]) == {"sadness": 1.0}


def test_cremad_works_with_less(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path)
    (root / "VideoDemographics.csv").unlink()
    shutil.rmtree(root / "processedResults")
    built = build("cremad", root, quiet=True)
    assert not built.table.has("votes")
    assert not built.table.has("age")
    assert not built.table.has("gender")
    assert built.table.frame["text"].ne("").all()
    assert any("VideoDemographics.csv" in note and "no votes" in note for note in built.notes)


def test_cremad_without_audio_is_its_file_list(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path)
    shutil.rmtree(root / "AudioWAV")
    frame = parse_corpus("cremad", root).frame
    assert set(frame["utterance_id"]) == {"1001_IEO_ANG_HI", "1001_DFA_NEU_XX", "1002_WSI_SAD_LO"}
    assert (frame["path"] == "").all()


def test_cremad_prefers_wav_and_finds_its_tables_in_a_deeper_release(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path / "CREMA-D")
    write_text(root / "AudioMP3" / "1001_IEO_ANG_HI.mp3", "not looked at")
    row = rows("cremad", tmp_path)["1001_IEO_ANG_HI"]
    assert row["path"] == "CREMA-D/AudioWAV/1001_IEO_ANG_HI.wav"
    assert (row["age"], row["votes"] != "") == (51, True)


def test_cremad_has_twelve_sentences() -> None:
    assert len(cremad.TEXTS) == len(set(cremad.TEXTS.values())) == cremad.SENTENCES == 12


def test_cremad_with_a_csv_that_is_a_pointer(tmp_path: Path) -> None:
    root = corpus("cremad").example(tmp_path)
    write_text(root / "processedResults" / "tabulatedVotes.csv", POINTER)
    with pytest.raises(CorpusError, match=r"tabulatedVotes.csv is a Git LFS pointer, not the file itself"):
        parse_corpus("cremad", root)


# IEMOCAP


def test_iemocap_text_has_no_time_stamp(tmp_path: Path) -> None:
    found = rows("iemocap", corpus("iemocap").example(tmp_path))
    assert {name: row["text"] for name, row in found.items()} == {
        "Ses01F_impro01_F000": "Excuse me.",
        "Ses01F_impro01_M000": "It's 10:30, isn't it?",  # the text's own colon stays
    }


def test_iemocap_speaker_is_who_speaks_not_who_wears_the_markers(tmp_path: Path) -> None:
    row = rows("iemocap", corpus("iemocap").example(tmp_path))["Ses01F_impro01_M000"]
    assert (row["speaker"], row["gender"], row["session"]) == ("Ses01M", "male", "Ses01")
    assert row["dialogue"] == "Ses01F_impro01"


def test_iemocap_turns_are_in_the_order_of_time(tmp_path: Path) -> None:
    found = rows("iemocap", corpus("iemocap").example(tmp_path))  # M000 stands first in the file, but begins later
    assert {name: row["turn"] for name, row in found.items()} == {"Ses01F_impro01_F000": 0, "Ses01F_impro01_M000": 1}
    assert found["Ses01F_impro01_F000"]["duration"] == pytest.approx(8.2357 - 6.2901)


def test_iemocap_votes_are_the_evaluators_and_of_two_labels_each_a_half(tmp_path: Path) -> None:
    found = rows("iemocap", corpus("iemocap").example(tmp_path))
    votes = json.loads(found["Ses01F_impro01_M000"]["votes"])
    assert votes == pytest.approx({"neutral": 1 / 3, "anger": 1 / 6, "frustration": 1 / 2}, abs=1e-6)  # C-M1 is left out
    votes = json.loads(found["Ses01F_impro01_F000"]["votes"])
    assert votes == pytest.approx({"neutral": 2 / 3, "excitement": 1 / 3}, abs=1e-6)


def test_iemocap_without_agreement_has_no_emotion(tmp_path: Path) -> None:
    found = rows("iemocap", corpus("iemocap").example(tmp_path))
    row = found["Ses01F_impro01_M000"]
    assert (row["label"], row["emotion"]) == ("xxx", "")
    assert (row["valence"], row["arousal"], row["dominance"]) == (2.5, 2.5, 3.0)
    assert found["Ses01F_impro01_F000"]["emotion"] == "neutral"


def test_iemocap_notes_what_it_cannot_use(tmp_path: Path) -> None:
    root = corpus("iemocap").example(tmp_path)
    wavs = root / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    write_tone(wavs / "Ses01F_impro01_F999.wav")
    (wavs / "Ses01F_impro01_F000.wav").unlink()
    file = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    file.write_text(file.read_text() + "\n[12.0 - \tSes01F_impro01_F001\tneu\n")
    built = build("iemocap", root, quiet=True)
    assert "wav files without an evaluation left out: 1" in built.notes
    assert "malformed lines of Ses01F_impro01.txt left out: 1" in built.notes
    row = built.table.frame.set_index("utterance_id").loc["Ses01F_impro01_F000"]
    assert row["path"] == ""  # its text can still be used
    assert row["duration"] == pytest.approx(1.9456)


def test_iemocap_finds_sentences_in_any_folder_and_no_whole_dialogue(tmp_path: Path) -> None:
    root = corpus("iemocap").example(tmp_path)
    shutil.move(root / "Session1" / "sentences" / "wav" / "Ses01F_impro01", root / "wav")
    (root / "Session1" / "sentences" / "wav").rmdir()
    built = build("iemocap", root, quiet=True)
    assert set(built.table.frame["path"]) == {"wav/Ses01F_impro01_F000.wav", "wav/Ses01F_impro01_M000.wav"}
    assert built.notes == []


def test_iemocap_from_the_folder_above_and_with_an_unknown_label(tmp_path: Path) -> None:
    root = corpus("iemocap").example(tmp_path / "IEMOCAP_full_release")
    assert rows("iemocap", tmp_path)["Ses01F_impro01_F000"]["path"].startswith("IEMOCAP_full_release/Session1/sentences")
    evaluation = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    write_text(evaluation, evaluation.read_text().replace("\tneu\t", "\tnew\t"))
    with pytest.raises(CorpusError, match="Ses01F_impro01_F000: unknown label 'new'"):
        parse_corpus("iemocap", tmp_path)


def test_iemocap_has_all_words_of_the_evaluators() -> None:
    assert set(iemocap.WORDS.values()) == set(iemocap.LABELS.values()) - {""}


# MELD


def test_meld_ids_differ_between_the_splits(tmp_path: Path) -> None:
    found = rows("meld", corpus("meld").example(tmp_path))
    assert set(found) == {"train_dia0_utt0", "train_dia0_utt1", "dev_dia0_utt0", "test_dia0_utt0"}
    row = found["train_dia0_utt1"]
    assert (row["split"], row["dialogue"], row["turn"], row["speaker"]) == ("train", "train_dia0", 1, "Monica")
    assert (row["session"], row["emotion"], row["label"]) == ("s08e21", "surprise", "surprise")
    assert found["dev_dia0_utt0"]["split"] == "validation"
    assert found["train_dia0_utt0"]["emotion"] == "happiness"


def test_meld_has_a_path_only_where_the_clip_is(tmp_path: Path) -> None:
    found = rows("meld", corpus("meld").example(tmp_path))
    assert {name: row["path"] for name, row in found.items() if row["path"]} == {
        "train_dia0_utt0": "train_splits/dia0_utt0.mp4",
        "test_dia0_utt0": "output_repeated_splits_test/wav/dia0_utt0.wav",
    }


def test_meld_durations_and_windows_quotes(tmp_path: Path) -> None:
    frame = build("meld", corpus("meld").example(tmp_path), quiet=True).table.frame.set_index("utterance_id")
    assert frame.loc["train_dia0_utt0", "text"] == "He’s “lost” it, totally."
    assert frame.loc["train_dia0_utt0", "duration"] == pytest.approx(5.672)  # the subtitle's: an mp4 has no sound header
    assert frame.loc["test_dia0_utt0", "duration"] == pytest.approx(0.75)  # the wav's, not the subtitle's empty one
    assert frame["duration"].notna().all()


def test_meld_in_the_layout_of_its_archives_and_with_a_part_only(tmp_path: Path) -> None:
    root = corpus("meld").example(tmp_path)
    for split, clips in (("train", "train_splits"), ("test", "output_repeated_splits_test")):
        (root / split).mkdir()
        shutil.move(root / f"{split}_sent_emo.csv", root / split)
        shutil.move(root / clips, root / split)
    (root / "dev_sent_emo.csv").unlink()
    write_text(root / "test" / "output_repeated_splits_test" / "dia101_utt0.mp4", "x")
    built = build("meld", root, quiet=True)
    paths = dict(zip(built.table.frame["utterance_id"], built.table.frame["path"], strict=True))
    assert paths["train_dia0_utt0"] == "train/train_splits/dia0_utt0.mp4"
    assert "not there: dev_sent_emo.csv" in built.notes
    assert "clips that are in no CSV left out: 1" in built.notes


def test_meld_takes_the_clips_that_were_cut_again_and_splits_from_names(tmp_path: Path) -> None:
    root = corpus("meld").example(tmp_path)
    again = write_text(root / "output_repeated_splits_test" / "final_videos_testdia0_utt0.mp4", "x")
    write_tone(root / "16k" / "validation" / "dia0_utt0.flac")
    write_tone(root / "flat" / "train_dia0_utt1.wav")
    built = build("meld", root, quiet=True)
    paths = dict(zip(built.table.frame["utterance_id"], built.table.frame["path"], strict=True))
    assert paths == {
        "train_dia0_utt0": "train_splits/dia0_utt0.mp4",
        "train_dia0_utt1": "flat/train_dia0_utt1.wav",
        "dev_dia0_utt0": "16k/validation/dia0_utt0.flac",
        "test_dia0_utt0": "output_repeated_splits_test/final_videos_testdia0_utt0.mp4",  # before the wav of the plain name
    }
    assert "test clips taken from final_videos_test..., in place of those of the plain name: 1" in built.notes
    write_tone(again.with_suffix(".wav"))
    assert rows("meld", root)["test_dia0_utt0"]["path"].endswith("final_videos_testdia0_utt0.wav")


# One's own


def test_folder_reads_labels_and_speakers_and_tells_what_it_leaves(tmp_path: Path) -> None:
    root = corpus("folder").example(tmp_path)
    write_tone(root / "beside.wav")
    write_tone(root / "angry" / "a" / "b" / "deep.wav")
    built = build("mine", root, "folder", quiet=True)
    found = {r["utterance_id"]: (r["label"], r["emotion"], r["speaker"]) for r in built.table.frame.to_dict("records")}
    assert found == {
        "angry/a": ("angry", "anger", ""),
        "Happy/anna/a": ("Happy", "happiness", "anna"),
        "whispered/bert/a": ("whispered", "other", "bert"),
    }
    assert "files that are not in LABEL/, LABEL/SPEAKER/ or SPEAKER/LABEL/ left out: 2" in built.notes
    assert any("whispered" in note for note in built.notes)


def test_files_below_follows_links_once(tmp_path: Path) -> None:
    write_tone(tmp_path / "elsewhere" / "a.WAV")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "root")
    assert list(files_below(tmp_path / "root", ".wav")) == ["link/a.WAV"]
