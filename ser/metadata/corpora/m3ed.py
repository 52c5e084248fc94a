"""M3ED: 990 dialogues of two people from 56 Chinese television series, with the emotions that three annotators chose.

`annotation.json` has series -> dialogue -> `SpeakerInfo` (name, age group, sex of A and B) and `Dialog` (utterance -> text,
speaker, begin and end as hours, minutes, seconds and frames of 1/25 s, and the annotations); several emotions are parted by
commas. Audio is named by speaker and utterance: `A_anjia_1_1.wav`. `splitInfo/` lists the series of each part.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.files import parse_json
from ser.jsonfile import dumps
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, canonical, files_below, left_out, read_text, shares, stem
from ser.metadata.schema import Row

TITLE = "M3ED, the Multi-modal Multi-scene Multi-label Emotional Dialogue database"
CITATION = (
    "J. Zhao, T. Zhang, J. Hu, Y. Liu, Q. Jin, X. Wang, H. Li: M3ED: Multi-modal Multi-scene Multi-label Emotional Dialogue "
    "Database. ACL 2022, 5699-5710. doi:10.18653/v1/2022.acl-long.391"
)
LICENCE = "for research (see the repository); the recordings are of television series"
URL = "https://github.com/AIM3-RUC/RUCM3ED"
LANGUAGE = "zh"
TREE = """
annotation.json                         24,449 utterances; enough for text
splitInfo/movie_list_train.txt          series of the parts: ..._train.txt, ..._val.txt, ..._test.txt
modality_speech/A_anjia_1_1.wav         audio, if it is there, in any folder
"""
LABELS = by_word("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
UTTERANCES = 24449
SENTENCES = None
NOTES = (
    "Where an utterance has several emotions, the label has all of them, the main one first (`Happy;Surprise`), and the "
    "emotion is the main one. Votes are those of the three annotators; of two emotions each gets half a vote.",
    "The parts share no series, and so no speaker. A speaker is a series with a name: roles without a name of their own may be "
    "several people.",
    "Ages are groups (young, mid, ...) in the release, and not in the table.",
    "A public reader (EmoBox) has the audio of 24,437 utterances. Utterances without audio are text only.",
)
SPLITS = {"train": "train", "val": "validation", "test": "test"}
FRAMES = 25  # a second of the release's times
_STAMP = re.compile(r"(\d+):(\d+):(\d+):(\d+)")
_ANNOTATOR = re.compile(r"EmoAnnotator\d+")


def parse(root: Path) -> Iterator[Row]:
    """Rows of `annotation.json`, in the order of its series and dialogues, with the path of their audio where there is any.

    Raises:
        CorpusError: no `annotation.json`, one of another form, or an emotion that M3ED does not have.
    """
    files = list(files_below(root, ".json", ".txt", ".wav"))
    source = next((root / f for f in files if f.rsplit("/", 1)[-1] == "annotation.json"), None)
    if source is None:
        raise CorpusError(
            f"{root} holds no annotation.json",
            expected="the file of the release, with splitInfo/ beside it",
            action="Give the folder that holds both with --root.",
        )
    audio = {stem(f): f for f in files if f.lower().endswith(".wav")}
    splits = _splits(root, files)
    used = without = 0
    for series, dialogues in _object(_read(source), source).items():
        for dialogue, content in _object(dialogues, f"{source}: {series}").items():
            where = f"{source}: {dialogue}"
            people = _object(content, where).get("SpeakerInfo", {})
            for name, said in _object(content.get("Dialog"), where).items():
                row = _row(name, said, people, f"{source}: {name}")
                path = audio.get(f"{said['Speaker']}_{name}", "")
                used += bool(path)
                without += not path
                split = splits.get(series, "")
                row |= {"speaker": f"{series}_{row['speaker']}", "session": series, "split": split}
                yield {**row, "path": path, "dialogue": dialogue}
    if used and without:
        LOG.warning("utterances without their audio: %d (text only)", without)
    left_out(len(audio) - used, "audio files that are not in annotation.json")


def example(root: Path) -> Path:
    def said(begin: str, end: str, text: str, by: str, votes: tuple[str, ...], main: str, several: str) -> dict[str, Any]:
        annotation = {f"EmoAnnotator{n}": vote for n, vote in enumerate(votes, start=1)}
        annotation |= {"final_mul_emo": several, "final_main_emo": main}
        return {"StartTime": begin, "EndTime": end, "Text": text, "Speaker": by, "EmoAnnotation": annotation}

    def person(name: str, gender: str) -> dict[str, Any]:
        return {"Name": name, "Age": "mid", "Gender": gender, "OtherName": []}

    content = {
        "anjia": {
            "anjia_1": {
                "SpeakerInfo": {"A": person("王", "female"), "B": person("李", "male")},
                "Dialog": {
                    "anjia_1_1": said("00:00:00:01", "00:00:01:03", "你好", "A", ("Neutral",) * 3, "Neutral", "Neutral"),
                    "anjia_1_2": said(
                        "00:00:01:03", "00:00:03:00", "真的吗", "B", ("Happy,Surprise", "Surprise", "Happy"), "Surprise",
                        "Happy,Surprise",
                    ),
                },
            }
        },
        "woju": {
            "woju_1": {
                "SpeakerInfo": {"A": person("王", "male"), "B": person("陈", "male")},
                "Dialog": {"woju_1_1": said("00:00:00:00", "00:00:02:00", "走", "B", ("Anger",) * 3, "Anger", "Anger")},
            }
        },
    }  # fmt: skip
    write_text(root / "annotation.json", dumps(content))
    for split, series in {"train": "anjia\n", "val": "qihun\n", "test": "woju"}.items():
        write_text(root / "splitInfo" / f"movie_list_{split}.txt", series)
    return write_tones(root, "modality_speech/A_anjia_1_1.wav", "modality_speech/B_anjia_1_2.wav")


def _read(source: Path) -> object:
    try:
        return parse_json(read_text(source))
    except ValueError as error:
        raise CorpusError(f"{source} is damaged", expected="JSON", found=str(error)) from None


def _object(value: object, where: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    expected = "series -> dialogue -> SpeakerInfo and Dialog, as in M3ED's annotation.json"
    raise CorpusError(f"{where}: not of the release's form", expected=expected, found=type(value).__name__)


def _splits(root: Path, files: list[str]) -> dict[str, str]:
    """Series -> part, of the lists that are there."""
    lists = {f.rsplit("/", 1)[-1]: root / f for f in files}
    named = {split: lists.get(f"movie_list_{word}.txt") for word, split in SPLITS.items()}
    lacking = [split for split, file in named.items() if file is None]
    if lacking:
        LOG.warning("not there: splitInfo/movie_list_*.txt of %s; so those rows have no split", ", ".join(lacking))
    return {series: split for split, file in named.items() if file is not None for series in read_text(file).split()}


def _row(name: str, said: object, people: dict[str, Any], where: str) -> Row:
    lacking = {"Speaker", "Text", "EmoAnnotation"} - set(_object(said, where))
    if lacking:
        raise CorpusError(f"{where}: without {', '.join(sorted(lacking))}", expected="as in M3ED's annotation.json")
    assert isinstance(said, dict)
    given, person = said["EmoAnnotation"], people.get(said["Speaker"], {})
    main = given["final_main_emo"].strip()
    emotion = canonical(LABELS, main, where)
    others = [word for word in _words(given.get("final_mul_emo")) if word != main]
    for word in others:
        canonical(LABELS, word, where)
    votes: dict[str, float] = {}
    for key, value in given.items():
        words = _words(value) if _ANNOTATOR.fullmatch(key) else []
        for word in words:
            vote = LABELS.get(word, "other")
            votes[vote] = votes.get(vote, 0) + 1 / len(words)
    begin, end = _seconds(said.get("StartTime")), _seconds(said.get("EndTime"))
    gender = str(person.get("Gender", "")).strip().lower()
    return {
        "utterance_id": name,
        "duration": round(end - begin, 3) if begin is not None and end is not None and end > begin else None,
        "text": said["Text"].strip(),
        "label": ";".join([main, *others]),
        "emotion": emotion,
        "votes": shares(votes),
        "speaker": str(person.get("Name") or said["Speaker"]).strip(),
        "gender": gender if gender in ("female", "male") else "",
        "turn": int(name.rsplit("_", 1)[-1]),
    }


def _words(value: object) -> list[str]:
    """The emotions of a cell such as `Happy,Surprise`."""
    return [word.strip() for word in str(value or "").split(",") if word.strip()]


def _seconds(stamp: object) -> float | None:
    """Seconds of a time; None for another text.

    >>> _seconds("00:00:01:03")
    1.12
    """
    match = _STAMP.fullmatch(str(stamp).strip())
    if match is None:
        return None
    hours, minutes, seconds, frames = map(int, match.groups())
    return 3600 * hours + 60 * minutes + seconds + frames / FRAMES
