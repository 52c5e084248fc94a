"""Names of files, read as their publishers explain them; each expectation is derived by hand from a name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ser import registry
from ser.errors import CorpusError
from ser.metadata.build import build
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.corpus import CORPORA, corpus, parse_corpus

COLUMNS = ("emotion", "speaker", "gender", "prompt", "text")
EXPECTED = {
    ("tess", "OAF_bite_neutral"): ("neutral", "OAF", "female", "bite", "Say the word bite."),
    ("tess", "OAF_back_ps"): ("surprise", "OAF", "female", "back", "Say the word back."),
    ("tess", "YAF_sheep_sad"): ("sadness", "YAF", "female", "sheep", "Say the word sheep."),
    ("savee", "DC_a01"): ("anger", "DC", "male", "a01", ""),
    ("savee", "DC_sa15"): ("sadness", "DC", "male", "sa15", ""),
    ("savee", "KL_su03"): ("surprise", "KL", "male", "su03", ""),
    ("savee", "JE_n30"): ("neutral", "JE", "male", "n30", ""),
    ("urdu", "SM1_F1_A01"): ("anger", "SM1", "male", "", ""),
    ("urdu", "SF1_F10_H010"): ("happiness", "SF1", "female", "", ""),
    ("nemo", "MK0_fear_13"): ("fear", "MK0", "female", "13", 'To "jest" zdanie.'),
    ("nemo", "KS0_surprised_35"): ("surprise", "KS0", "male", "35", "Aby upiec, muszę."),
    ("esd", "0001_001750"): ("surprise", "0001", "female", "zh350", "他说 好。"),
    ("esd", "0011_000001"): ("neutral", "0011", "male", "en001", "The nine the eggs, I keep."),
    ("esd", "0011_000351"): ("anger", "0011", "male", "en001", "The nine the eggs, I keep."),
    ("esd", "0011_000401"): ("anger", "0011", "male", "en051", "Tom then climbed."),
    ("emovo", "gio-f1-b1"): ("happiness", "f1", "female", "b1", "Gli operai si alzano presto."),
    ("emovo", "neu-m3-d2"): ("neutral", "m3", "male", "d2", "Porti con te quella cosa?"),
    ("aesdd", "a01 (1)"): ("anger", "1", "", "01", ""),
    ("aesdd", "a06 (5)b"): ("anger", "5", "", "06", ""),
    ("aesdd", "f10 (01)"): ("fear", "1", "", "10", ""),
    ("aesdd", "s20 (6)"): ("sadness", "6", "", "", ""),
    ("cafe", "01-C-1-4"): ("anger", "01", "male", "4", "Quatre vieilles truies éléphantesques"),
    ("cafe", "12-T-2-1"): ("sadness", "12", "female", "1", "Un cheval fou dans mon jardin"),
    ("shemo", "F01A01"): ("anger", "F01", "female", "", "دیگه نمی‌تونم."),
    ("shemo", "M56W03"): ("surprise", "M56", "male", "", "چی؟"),
    ("subesco", "F_01_OISHI_S_10_ANGRY_1"): ("anger", "F_01", "female", "10", ""),
    ("subesco", "F_02_MONIKA_S_2_SURPRISE_3"): ("surprise", "F_02", "female", "2", ""),
    ("subesco", "M_10_TITAS_S_2_NEUTRAL_5"): ("neutral", "M_10", "male", "2", ""),
    ("banglaser", "03-01-01-01-01-01-01"): ("happiness", "01", "male", "01", ""),
    ("banglaser", "03-01-03-02-03-02-34"): ("anger", "34", "female", "03", ""),
    ("banglaser", "03-01-05-01-02-03-10"): ("neutral", "10", "female", "02", ""),
    ("iitkgp_sehsc", "1.2.anger-3"): ("anger", "1", "female", "3", ""),
    ("iitkgp_sehsc", "1.3.sarcastic-12"): ("other", "1", "female", "12", ""),
    ("iitkgp_sehsc", "10.1.sadness-3"): ("sadness", "10", "male", "3", ""),
    ("iitkgp_sesc", "1.2.anger"): ("anger", "1", "female", "", ""),
    ("iitkgp_sesc", "4.10.compassion"): ("other", "4", "male", "", ""),
    ("iitkgp_sesc", "10.1.happy-7"): ("happiness", "10", "male", "7", ""),
    ("ased", "a5-02-01-01-33"): ("anger", "33", "female", "a02", ""),
    ("ased", "s4-01-01-02-45"): ("sadness", "45", "male", "s01", ""),
    ("casia", "liuchanhg_angry_201"): ("anger", "liuchanhg", "", "201", ""),
    ("casia", "zhaozuoxiang_neutral_201"): ("neutral", "zhaozuoxiang", "", "201", ""),
    ("casia", "wangzhe_sad_203"): ("sadness", "wangzhe", "", "203", ""),
    ("emovdb", "bea_amused_1-28_0001"): ("other", "bea", "female", "0001", "Is it the first of them?"),
    ("emovdb", "josh_sleepiness_1-28_0002"): ("other", "josh", "male", "0002", 'So are "they".'),
    ("emovdb", "sam_anger_1-28_0001"): ("anger", "sam", "male", "0001", "Is it the first of them?"),
}  # fmt: skip


def rows(plugin: str, root: Path) -> dict[str, dict[str, Any]]:
    return {str(row["utterance_id"]): row for row in parse_corpus(plugin, root).frame.to_dict("records")}


@pytest.mark.parametrize("name", sorted({name for name, _ in EXPECTED}))
def test_names_are_read_as_published(name: str, tmp_path: Path) -> None:
    found = rows(name, corpus(name).example(tmp_path))
    for (plugin, utterance), values in EXPECTED.items():
        if plugin == name:
            assert tuple(found[utterance][c] for c in COLUMNS) == values, utterance


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("tess", (2, 200, 7)),
        ("savee", (4, 120)),
        ("esd", (20, 350, 5)),
        ("emovo", (6, 14, 7)),
        ("cafe", (12, 6, 13)),  # six emotions at two intensities, and neutral
        ("subesco", (20, 10, 7, 5)),
        ("iitkgp_sehsc", (10, 15, 8, 10)),
        ("iitkgp_sesc", (10, 8, 10)),
    ],
)
def test_counts_of_the_release_are_those_of_its_design(name: str, factors: tuple[int, ...]) -> None:
    product = 1
    for factor in factors:
        product *= factor
    assert product == corpus(name).UTTERANCES


def test_banglaser_counts_neutral_apart() -> None:
    assert corpus("banglaser").UTTERANCES == 3 * 3 * 4 * 34 + 3 * 3 * 27


def test_ages_intensities_languages_and_splits(tmp_path: Path) -> None:
    assert rows("tess", corpus("tess").example(tmp_path / "t"))["YAF_back_angry"]["age"] == 26
    french = rows("cafe", corpus("cafe").example(tmp_path / "c"))
    assert [(french[i]["age"], french[i]["intensity"]) for i in ("01-C-1-4", "12-T-2-1", "02-N-1-6")] == [
        (46, "low"), (37, "high"), (64, "")]  # fmt: skip
    esd = rows("esd", corpus("esd").example(tmp_path / "e"))
    assert [esd[i]["language"] for i in ("0001_001750", "0011_000001")] == ["zh", "en"]
    assert [esd[i]["split"] for i in ("0011_000001", "0011_000351", "0011_000401")] == ["", "validation", "train"]
    assert rows("nemo", corpus("nemo").example(tmp_path / "n"))["EB0_neutral_13"]["age"] == 27
    assert rows("banglaser", corpus("banglaser").example(tmp_path / "b"))["03-01-03-02-03-02-34"]["intensity"] == "strong"


def test_files_of_other_names_are_counted_and_second_copies_used_once(tmp_path: Path) -> None:
    root = corpus("emovo").example(tmp_path)
    write_tone(root / "EMOVO" / "f1" / "prova.wav")
    shutil.copytree(root / "EMOVO", root / "copy")
    built = build("emovo", root, quiet=True)
    assert len(built.table.frame) == 3
    assert built.notes == ["second copies of a file left out: 3",
                           "audio files that are not named as EMOVO's are left out: 2"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("tess", "OAF_back_glad.wav", "unknown label 'glad'; expected one of angry"),
        ("savee", "DC/x01.wav", "unknown label 'x'"),
        ("urdu", "Fear/SM1_F1_F01.wav", "unknown label 'F'"),
        ("aesdd", "x01 (1).wav", "unknown label 'x'"),
        ("banglaser", "03-01-06-01-01-01-01.wav", "unknown label '06'"),
        ("esd", "0011/Happy/0011_000351.wav", "number is one of Angry; expected it in Angry/; found Happy"),
        ("esd", "0011/0011_001751.wav", "expected 000001 to 001750"),
        ("iitkgp_sesc", "Speaker (1)/Season (1)/Joy_all.wav", "unknown label 'joy'"),
    ],
)
def test_what_the_corpus_has_not_is_an_error(name: str, path: str, message: str, tmp_path: Path) -> None:
    write_tone(tmp_path / path)
    with pytest.raises(CorpusError) as refused:
        parse_corpus(name, tmp_path)
    assert message in str(refused.value)


def test_emovdb_without_folders_of_styles(tmp_path: Path) -> None:
    write_tone(tmp_path / "EmoV-DB" / "jenie" / "sleepiness_1-28_0007.wav")
    write_tone(tmp_path / "sam" / "16k" / "Disgust" / "disgust_1-28_0007.wav")
    found = rows("emovdb", tmp_path)
    assert {name: row["speaker"] for name, row in found.items()} == {
        "jenie_sleepiness_1-28_0007": "jenie",
        "sam_disgust_1-28_0007": "sam",
    }


def test_nemo_without_or_with_another_list(tmp_path: Path) -> None:
    root = corpus("nemo").example(tmp_path)
    assert rows("nemo", root / "samples")["MK0_fear_13"]["gender"] == "female"  # the list lies above
    (root / "data.tsv").unlink()
    built = build("nemo", root, quiet=True)
    assert built.notes == ["not there: data.tsv; so no text, gender and age"]
    assert not built.table.has("text")
    write_text(root / "data.tsv", "a\tb\n")
    with pytest.raises(CorpusError, match=r"data.tsv; expected columns file_id, .*; found a, b"):
        parse_corpus("nemo", root)


def test_shemo_prefers_the_texts_that_were_put_right(tmp_path: Path) -> None:
    root = corpus("shemo").example(tmp_path)
    write_text(root / "shemo.json", json.dumps({"F01A01": {"transcript": "b"}}))
    assert rows("shemo", root)["F01A01"]["text"] == "b"
    write_text(root / "modified_shemo.json", json.dumps({"F01A01.wav": {"transcript": "c"}}))
    assert rows("shemo", root)["F01A01"]["text"] == "c"
    write_text(root / "modified_shemo.json", "[1]")
    with pytest.raises(CorpusError, match=r"modified_shemo.json; expected JSON such as"):
        parse_corpus("shemo", root)


def test_sesc_says_that_its_recordings_are_not_cut(tmp_path: Path) -> None:
    built = build("iitkgp_sesc", corpus("iitkgp_sesc").example(tmp_path), quiet=True)
    assert built.notes == ["recordings of 15 sentences, not cut into utterances: 2"]


def test_every_corpus_of_the_specification_is_there() -> None:
    wanted = ("iemocap cremad meld ravdess emodb tess savee urdu nemo esd emovo aesdd cafe shemo subesco iitkgp_sehsc "
              "iitkgp_sesc banglaser ased casia emovdb emns m3ed folder csv jsonl emobox")  # fmt: skip
    assert set(wanted.split()) <= set(registry.names(CORPORA))
