"""Canonical emotions and label schemes."""

from pathlib import Path

import pandas as pd
import pytest

from ser.errors import ConfigError
from ser.metadata.labels import CANONICAL, SCHEMES, SYNONYMS, from_word, load_scheme
from ser.metadata.table import make_table


def frame(*pairs: tuple[str, str]) -> pd.DataFrame:
    rows = [{"utterance_id": str(n), "text": "x", "emotion": e, "label": w} for n, (e, w) in enumerate(pairs)]
    return make_table(rows, "mine").frame


@pytest.mark.parametrize("name", CANONICAL)
def test_every_canonical_name_is_a_word_of_itself(name: str) -> None:
    assert from_word(name) == name
    assert from_word(f" {name.upper()} ") == name


def test_words_belong_to_one_emotion_only() -> None:
    words = [word for members in SYNONYMS.values() for word in members]
    assert len(words) == len(set(words))
    assert set(SYNONYMS) == set(CANONICAL)


@pytest.mark.parametrize(("word", "emotion"), [("Pleasant-Surprise", "surprise"), ("pleasant surprise", "surprise"),
                                               ("joy", "happiness"), ("whispered", "other"), ("", "other")])  # fmt: skip
def test_words(word: str, emotion: str) -> None:
    assert from_word(word) == emotion


@pytest.mark.parametrize(
    ("scheme", "classes", "out"),
    [
        ("4", ("anger", "happiness", "neutral", "sadness"), {"fear", "excitement -> happiness"}),
        ("4-noexc", ("anger", "happiness", "neutral", "sadness"), {"fear", "excitement"}),
        ("6-iemocap", ("happiness", "sadness", "neutral", "anger", "excitement", "frustration"), {"fear"}),
        ("6", ("anger", "disgust", "fear", "happiness", "neutral", "sadness"), {"surprise"}),
        ("7", ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"), {"calm"}),
        ("8", ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"), {"boredom"}),
    ],
)
def test_the_order_of_the_classes_is_as_specified(scheme: str, classes: tuple[str, ...], out: set[str]) -> None:
    rule = SCHEMES[scheme]
    assert rule.classes == classes
    for emotion in CANONICAL:
        got = rule.apply(frame((emotion, "?"))).iloc[0]
        if f"{emotion} -> {got}" in out:
            continue
        assert got == (emotion if emotion in classes else "")
        assert emotion not in out or got == ""


def test_the_ravdess_scheme_of_four() -> None:
    rows = [("calm", "calm"), ("fear", "fearful"), ("disgust", "disgust"), ("surprise", "surprised"), ("boredom", "b")]
    assert SCHEMES["4-ravdess"].apply(frame(*rows)).tolist() == ["happiness", "sadness", "anger", "happiness", ""]


def test_rows_without_an_emotion_are_left_out_by_every_scheme() -> None:
    rows = frame(("", "xxx"), ("anger", "ang"))
    for name in [*SCHEMES, "native"]:
        assert load_scheme(name, rows).apply(rows).iloc[0] == ""


def test_native_is_in_canonical_order_and_other_goes_by_its_label() -> None:
    rows = frame(("sadness", "s"), ("anger", "a"), ("other", "whispered"), ("other", "sung"), ("other", ""))
    rule = load_scheme("native", rows)
    assert rule.classes == ("anger", "sadness", "sung", "whispered")
    assert rule.apply(rows).tolist() == ["sadness", "anger", "whispered", "sung", ""]


def test_a_scheme_of_ones_own(tmp_path: Path) -> None:
    rows = frame(("anger", "ang"), ("other", "sung"), ("neutral", "neu"), ("fear", "fea"))
    file = tmp_path / "two.yaml"
    file.write_text("negative: [anger, fear]\nmusic: sung\n")
    rule = load_scheme(str(file), rows)
    assert rule.name == "two"
    assert rule.classes == ("negative", "music")
    assert rule.apply(rows).tolist() == ["negative", "music", "", "negative"]
    (tmp_path / "two.json").write_text('{"negative": ["anger", "fear"], "music": ["sung"]}')
    assert load_scheme(str(tmp_path / "two.json"), rows).mapping == rule.mapping
    assert rule.strangers(rows) == []


def test_words_of_a_scheme_that_no_utterance_has_are_named(tmp_path: Path) -> None:
    rows = frame(("anger", "ang"), ("other", "sung"))
    file = tmp_path / "own.yaml"
    file.write_text("negative: [anger, fear, zzz]\nmusic: [sung, 音楽]\n")
    assert load_scheme(str(file), rows).strangers(rows) == ["zzz", "音楽"]  # fear is an emotion that these rows lack
    assert load_scheme("4", rows).strangers(rows) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [anger]\nb: [anger]\n", "'anger' is in two classes"),
        ("a: [anger]\n", "1 class; expected two or more"),
        ("[1, 2]", "is not a label scheme"),
        ("a: {b: c}\nd: [anger]\n", "is not a label scheme"),
        ("a: []\nd: [anger]\n", "is not a label scheme"),
        ("a: null\nd: [anger]\n", "is not a label scheme"),
        ("a: [anger\n", "cannot read the label scheme"),
        ("a: [anger]\nb: [fear]\na: [joy]\n", "'a' twice"),
        ("a: &x [anger]\nb: *x\n", "an alias"),
        ("a: [hapiness]\nb: [fear]\n", "'hapiness' is neither an emotion nor a label here. Did you mean 'happiness'"),
        ("a: [happy]\nb: [fear]\n", "'happy' is neither.*Did you mean 'happiness'"),
        ("true: [anger]\nb: [fear]\n", "has True among its classes.*quotation marks"),
        ("a: [anger, null]\nb: [fear]\n", "has None among"),
        ("a: [[anger]]\nb: [fear]\n", "among its classes"),
        ("Good: [anger]\n'good ': [fear]\n", "the classes 'Good' and 'good' have one name"),
    ],
)
def test_a_wrong_scheme_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_scheme(str(tmp_path / "s.yaml"), frame(("anger", "a")))


def test_words_of_a_scheme_file_are_texts(tmp_path: Path) -> None:
    """`yes` and `no` are words, and so are labels that another corpus may have."""
    rows = frame(("anger", "1"), ("other", "no"), ("fear", "fea"))
    (tmp_path / "s.yaml").write_text("yes: [anger, Wut]\nno: [no, fear]\n")
    rule = load_scheme(str(tmp_path / "s.yaml"), rows)
    assert rule.classes == ("yes", "no")
    assert rule.apply(rows).tolist() == ["yes", "no", "no"]
    (tmp_path / "s.yaml").write_text("first: [1]\nsecond: [fear, fearful]\n")
    assert load_scheme(str(tmp_path / "s.yaml"), rows).apply(rows).tolist() == ["first", "", "second"]


def test_classes_are_left_out_of_a_scheme_by_its_name() -> None:
    rows = frame(("anger", "W"), ("boredom", "L"), ("happiness", "F"), ("excitement", "X"), ("sadness", "T"))
    rule = load_scheme("native-without-boredom", rows)
    assert rule.classes == ("anger", "happiness", "sadness", "excitement")
    assert rule.apply(rows).tolist() == ["anger", "", "happiness", "excitement", "sadness"]
    rule = load_scheme("4-without-happiness+neutral", rows)  # and with happiness its excitement
    assert rule.classes == ("anger", "sadness")
    assert rule.apply(rows).tolist() == ["anger", "", "", "", "sadness"]
    with pytest.raises(ConfigError, match=r"unknown class of scheme 4: 'boredom'"):
        load_scheme("4-without-boredom", rows)
    with pytest.raises(ConfigError, match="1 class"):
        load_scheme("4-without-happiness+neutral+anger", rows)


def test_unknown_schemes_and_damaged_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown scheme '4-ravdes'.*Did you mean '4-ravdess'"):
        load_scheme("4-ravdes", frame(("anger", "a")))
    with pytest.raises(ConfigError, match=r"cannot read the label scheme .*No such file"):
        load_scheme(str(tmp_path / "none.json"), frame(("anger", "a")))
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot read the label scheme"):
        load_scheme(str(tmp_path / "s.json"), frame(("anger", "a")))
