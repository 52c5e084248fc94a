"""MSP-Podcast: speaking turns of podcasts, each rated by five or more listeners: classes, valence, arousal, dominance.

File names: podcast, turn: `MSP-PODCAST_0001_0008.wav`. `labels_consensus.csv` (up to 1.9 `labels_concensus.csv`) has the class
of the majority as a letter, the means of the ratings, speaker, gender and part. `labels_detailed.csv` has a line for each
listener: in 1.6 and 2.0 in columns, from 1.7 to 1.12 in one cell, `WORKER0000001; Neutral; Neutral,Sad; A:4.0; V:4.0; D:4.0;`.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.files import open_regular, parse_json, read_bytes, why
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.folds.fold_file import Line
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, canonical, few, files_below, left_out, read_text, shares, stem
from ser.metadata.schema import Row, TableFacts

TITLE = "MSP-Podcast"
CITATION = (
    "R. Lotfian, C. Busso: Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech From "
    "Existing Podcast Recordings. IEEE Transactions on Affective Computing 10(4), 471-483, 2019. "
    "doi:10.1109/TAFFC.2017.2736999"
)
LICENCE = "for research, on request from the MSP laboratory, University of Texas at Dallas (licence agreement)"
URL = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html"
RELEASE = "MSP-PODCAST-Publish-1.12"
LANGUAGE = "en"
TREE = """
Audios/MSP-PODCAST_0001_0008.wav        207,136 files in release 1.12
Labels/labels_consensus.csv             class, ratings, speaker, gender, part (labels_concensus.csv up to 1.9)
Labels/labels_detailed.csv              a line for each listener (or labels_detailed.json)
Transcripts/MSP-PODCAST_0001_0008.txt   text
Partitions.txt                          parts: the only list of Test3 (also Partition.txt)
readme.txt                              the release
"""
LABELS = {
    "A": "anger",
    "S": "sadness",
    "H": "happiness",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
    "O": "other",
    "X": "",  # no class has the most votes
}
DIMENSIONS = {"valence": (1, 7), "arousal": (1, 7), "dominance": (1, 7)}
RELEASES = {"1.11": 151654, "1.12": 207136}  # speaking turns, Test3 among them
UTTERANCES = RELEASES["1.12"]
SENTENCES = None
NOTES = (
    "About a fifth of the turns has no class that most listeners chose (X): they have no emotion, but votes and ratings.",
    "The official split has Test1 as its test part. Test2 and Test3 belong to none; the fold kept beside the table, test2, has "
    "Test2. The labels of Test3 are not public. Speakers of one test part may speak in another.",
    "Votes are the listeners' first choice (EmoClass_Major), words of their own as other; second choices are not used.",
    "Speakers that are not known are left empty: in training only. The session is the podcast.",
    "Releases 1.6 to 2.0 are read; words and times of ForceAligned/ are not.",
)
SPLITS = {"Train": "train", "Validation": "validation", "Development": "validation", "Test": "test", "Test1": "test"}
WITHOUT_SPLIT = ("Test2", "Test3", "")
CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv")
DETAILED = ("labels_detailed.csv", "labels_detailed.json")
WORDS = by_word("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral")
_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
_NAME = re.compile(r"MSP-PODCAST_(\d+)_\d+(?:_\d+)*", re.ASCII)
_PART = re.compile(r"(\w+); *(\S+)\s*$")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the turns with labels, in the order of the consensus file; then those of Test3, which have none.

    Raises:
        CorpusError: the consensus file is not there or lacks a column, or has a class or a part that MSP-Podcast does not have.
    """
    consensus = _consensus(root)
    audio, texts, others = _files(root)
    votes = _votes(consensus.parent)
    lacking, unlabelled, silent = 0, set(audio), 0
    for cells in _lines(consensus):
        name = cells["FileName"].removesuffix(".wav")
        row = _row(name, cells, consensus)
        unlabelled.discard(name)
        lacking += name not in votes
        row["votes"] = votes.get(name)
        row["text"] = read_text(texts[name]).strip() if name in texts else ""
        row["path"] = audio.get(name) or ("" if row["text"] else f"Audios/{name}.wav")
        silent += not row["path"]
        yield row
    for name in _parts(root):
        if name in unlabelled:
            unlabelled.discard(name)
            yield {"utterance_id": name, "path": audio[name], "label": "", "emotion": "", "session": _podcast(name)}
    if lacking:
        LOG.warning("utterances without votes: %d (%s)", lacking, f"not in {DETAILED[0]}" if votes else f"no {DETAILED[0]}")
    if silent:
        LOG.warning("utterances without their audio: %d (text only)", silent)
    left_out(len(unlabelled), f"audio files without labels ({few(sorted(unlabelled), 3)})")
    left_out(others, "audio files that are not named as MSP-Podcast's are")


def facts(root: Path) -> TableFacts:
    """The release and its size, by the release's own readme; neither where that is missing or is of another release."""
    readme = root / "readme.txt"
    found = re.search(r"Release (\d+\.\d+)", read_text(readme)) if readme.is_file() else None
    if found is None:
        return {"release": None, "utterances_of_release": None}
    return {"release": f"MSP-PODCAST-Publish-{found[1]}", "utterances_of_release": RELEASES.get(found[1])}


def folds(root: Path) -> Iterator[Line]:
    """The fold that is tested on Test2, where the release has it."""
    parts = {"Train": "train", "Validation": "validation", "Development": "validation", "Test2": "test"}
    lines = [
        ("test2", cells["FileName"].removesuffix(".wav"), parts.get(cells["Split_Set"], "unused"))
        for cells in _lines(_consensus(root))
    ]
    if any(part == "test" for _, _, part in lines):
        yield from lines


def example(root: Path) -> Path:
    write_tones(root, *(f"Audios/MSP-PODCAST_{name}.wav" for name in ("0001_0008", "0001_0019", "0023_0161", "0155_0004")))
    write_text(root / "readme.txt", "MSP-PODCAST Database\nRelease 1.12 (June 6, 2024)\n")
    write_text(
        root / "Labels" / "labels_consensus.csv",
        "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,127,Male,Test1\n"
        "MSP-PODCAST_0001_0019.wav,X,4.2,3.8,5.0,127,Male,Test1\n"
        "MSP-PODCAST_0023_0161.wav,A,5.6,2.4,5.2,Unknown,Unknown,Train\n"
        "MSP-PODCAST_0155_0004.wav,O,4.0,4.0,4.0,31,Female,Test2\n",
    )
    write_text(
        root / "Labels" / "labels_detailed.csv",
        "FileName,EmoDetail\n"
        'MSP-PODCAST_0001_0008.wav,"WORKER0000001; Neutral; Neutral,Confused; A:1.0; V:4.0; D:1.0;"\n'
        'MSP-PODCAST_0001_0008.wav,"WORKER0000002; Other-so, so; Neutral; A:3.0; V:4.0; D:4.0;"\n'
        'MSP-PODCAST_0001_0019.wav,"WORKER0000001; Happy; Happy; A:4.0; V:5.0; D:5.0;"\n'
        'MSP-PODCAST_0001_0019.wav,"WORKER0000003; Sad; ; A:4.0; V:2.0; D:5.0;"\n'
        'MSP-PODCAST_0023_0161.wav,"WORKER0000003; Angry; Angry,Disgust; A:6.0; V:2.0; D:6.0;"\n',
    )
    write_text(root / "Transcripts" / "MSP-PODCAST_0001_0008.txt", "And that is what he did.\n")
    write_text(root / "Partitions.txt", "Test1; MSP-PODCAST_0001_0008.wav\nTrain; MSP-PODCAST_0023_0161.wav\n")
    return root


def _consensus(root: Path) -> Path:
    """The consensus file, of several the one that lies highest: a release has those of earlier ones below it."""
    found = [root / p for p in files_below(root, *CONSENSUS) if p.rsplit("/", 1)[-1] in CONSENSUS]
    if not found:
        raise CorpusError(
            f"{root} holds no labels of MSP-Podcast",
            expected=f"Labels/{CONSENSUS[0]}",
            action="Give the folder that holds Labels/ and Audios/ with --root.",
        )
    return min(found, key=lambda p: len(p.parts))


def _files(root: Path) -> tuple[dict[str, str], dict[str, Path], int]:
    """Turn -> audio; turn -> transcript; number of audio files with other names. Of second copies the highest counts."""
    audio: dict[str, str] = {}
    texts: dict[str, Path] = {}
    others = 0
    for path in sorted(files_below(root, ".wav", ".txt"), key=lambda p: p.count("/")):
        sound, named = path.lower().endswith(".wav"), _NAME.fullmatch(stem(path)) is not None
        others += sound and not named
        if named and sound:
            audio.setdefault(stem(path), path)
        elif named:
            texts.setdefault(stem(path), root / path)
    return audio, texts, others


def _lines(file: Path) -> Iterator[dict[str, str]]:
    """The lines of the consensus file by column."""
    reader = _cells(file)
    head = next(reader, [])
    lacking = [column for column in _COLUMNS if column not in head]
    if lacking:
        raise CorpusError(f"{file}", expected=f"columns {', '.join(_COLUMNS)}", found=", ".join(head) or "nothing")
    for cells in reader:
        if cells:
            yield dict(zip(head, cells, strict=False))


def _cells(file: Path) -> Iterator[list[str]]:
    """The lines of a CSV file, as they are read: a release's details are a million lines."""
    try:
        with open_regular(file) as stream:
            yield from csv.reader(io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""))
    except (OSError, csv.Error) as error:
        raise CorpusError(f"cannot read {file}", found=why(error)) from None


def _row(name: str, cells: dict[str, str], file: Path) -> Row:
    part = cells["Split_Set"]
    if part not in SPLITS and part not in WITHOUT_SPLIT:
        parts = (*SPLITS, *WITHOUT_SPLIT[:-1])
        raise CorpusError(f"{file}: {name}: part {part!r}", expected=f"one of {', '.join(parts)}, or nothing")
    label, gender = cells["EmoClass"], cells["Gender"].lower()
    return {
        "utterance_id": name,
        "label": label,
        "emotion": canonical(LABELS, label, f"{file}: {name}") if label else "",
        "valence": cells["EmoVal"],
        "arousal": cells["EmoAct"],
        "dominance": cells["EmoDom"],
        "speaker": "" if cells["SpkrID"].lower() == "unknown" else cells["SpkrID"],
        "gender": gender if gender in ("female", "male") else "",
        "session": _podcast(name),
        "split": SPLITS.get(part, ""),
    }


def _podcast(name: str) -> str:
    found = _NAME.fullmatch(name)
    return f"MSP-PODCAST_{found[1]}" if found else ""


def _parts(root: Path) -> Iterator[str]:
    """The turns of Test3, from the list of parts: `Test3; MSP-PODCAST_0001_0008.wav`."""
    file = next((f for f in (root / "Partitions.txt", root / "Partition.txt") if f.is_file()), None)
    for line in read_text(file).splitlines() if file else ():
        found = _PART.match(line)
        if found and found[1] == "Test3":
            yield found[2].removesuffix(".wav")


def _votes(folder: Path) -> dict[str, dict[str, float] | None]:
    """Turn -> canonical emotion -> share of the listeners whose first choice it was; {} where there are no details."""
    file = next((folder / name for name in DETAILED if (folder / name).is_file()), None)
    if file is None:
        return {}
    counts: dict[str, dict[str, float]] = {}
    for name, word in _choices_in_json(file) if file.suffix == ".json" else _choices_in_csv(file):
        emotion = WORDS.get(word, "other")
        of = counts.setdefault(name, {})
        of[emotion] = of.get(emotion, 0) + 1
    return {name.removesuffix(".wav"): shares(of) for name, of in counts.items()}


def _choices_in_csv(file: Path) -> Iterator[tuple[str, str]]:
    """(file name, first choice) of every listener."""
    lines = _cells(file)
    head = next(lines, [])
    column = next((name for name in ("EmoClass_Major", "EmoDetail") if name in head), None)
    if column is None or "FileName" not in head:
        expected = "columns FileName and EmoDetail, or FileName and EmoClass_Major"
        raise CorpusError(f"{file}", expected=expected, found=", ".join(head) or "nothing")
    where, what = head.index("FileName"), head.index(column)
    word: Callable[[str], str] = _first_choice if column == "EmoDetail" else str.strip
    for cells in lines:
        if len(cells) > max(where, what):
            yield cells[where], word(cells[what])


def _first_choice(detail: str) -> str:
    """The class in a listener's cell.

    >>> _first_choice("WORKER0000001; Neutral; Neutral,Confused; A:1.0; V:4.0; D:1.0;")
    'Neutral'
    """
    return detail.split(";", 2)[1].strip() if ";" in detail else ""


def _choices_in_json(file: Path) -> Iterator[tuple[str, str]]:
    """(file name, first choice) of every listener, from `{file: {worker: {"EmoClass_Major": ...}}}`."""
    try:
        turns = parse_json(read_bytes(file))
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read {file}", found=error) from None
    for name, workers in turns.items() if isinstance(turns, dict) else [("", turns)]:
        for worker in workers.values() if isinstance(workers, dict) else [None]:
            word = worker.get("EmoClass_Major") if isinstance(worker, dict) else None
            if not isinstance(word, str):
                raise CorpusError(
                    f"{file}: {name}", expected='{file: {worker: {"EmoClass_Major": ...}}}', found=repr(workers)[:80]
                )
            yield name, word.strip()
