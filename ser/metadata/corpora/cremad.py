"""CREMA-D: 91 actors, twelve sentences, six emotions, with the votes of 2,443 listeners and viewers.

File names: actor, sentence, intended emotion, intended level: `1001_IEO_ANG_HI.wav`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.parsing import LOG, files_below, left_out, rows_of_csv, shares, stem
from ser.metadata.schema import Row

TITLE = "CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset"
CITATION = (
    "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma: CREMA-D: Crowd-sourced Emotional Multimodal "
    "Actors Dataset. IEEE Transactions on Affective Computing 5(4), 377-390, 2014. doi:10.1109/TAFFC.2014.2336244"
)
LICENCE = "Open Database License (ODbL) 1.0"
URL = "https://github.com/CheyneyComputerScience/CREMA-D"
LANGUAGE = "en"
TREE = """
AudioWAV/1001_DFA_ANG_XX.wav            7,442 files (AudioMP3/*.mp3 where there is no wav)
VideoDemographics.csv                   actors' sex and age
processedResults/tabulatedVotes.csv     listeners' votes
processedResults/summaryTable.csv       mean levels that listeners and viewers gave
SentenceFilenames.csv                   the list of files, used where there is no audio
"""
LABELS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"}
LEVELS = {"voice_level": "VoiceLevel", "face_level": "FaceLevel", "audiovisual_level": "MultiModalLevel"}
DIMENSIONS = dict.fromkeys(LEVELS, (0, 100))
UTTERANCES = 7442
SENTENCES = 12
NOTES = (
    "The audio is kept in Git LFS: a clone without it, or the zip file, has pointers of about 130 bytes instead.",
    "Labels are the intended emotions. Votes are those of listeners who heard the voice alone; they agree with the label "
    "in 41 % (Cao et al. 2014). --votes face takes those of people who saw the face alone, --votes audiovisual of those who "
    "saw and heard, --votes all of all three together.",
    "The columns voice_level, face_level and audiovisual_level have the mean strength (0 to 100) of the emotion that most "
    "chose: of those who heard only, who saw only, and who did both; for two emotions with equal votes the mean of theirs.",
    "1076_MTI_SAD_XX is silent in the release; 1040_ITH_SAD_X is named without its last letter, and gets it here.",
)
TEXTS = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
VOTES = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}
# First digits of a row's number in tabulatedVotes.csv: 1 voice only, 2 face only, 3 audio-visual (the README's queryType; rows
# of 1, 2 and 3 agree with VoiceVote, FaceVote and MultiModalVote of summaryTable.csv in all 7,442 clips).
VOTES_OF = {"voice": "1", "face": "2", "audiovisual": "3", "all": "123"}
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)$")


def parse(root: Path, votes_of: str = "voice") -> Iterator[Row]:
    """Rows of the audio files below the folder, or of the file list where there is no audio.

    Args:
        votes_of: a name of `VOTES_OF`.

    Raises:
        CorpusError: a CSV file of the release without its columns.
    """
    audio, strange = _audio(root)
    tables = _tables(root, next(iter(audio.values()), ""))
    if not audio:
        audio = dict.fromkeys((r["Filename"] for r in _read(tables, "SentenceFilenames.csv", "Filename")), "")
    actors = {r["ActorID"]: r for r in _read(tables, "VideoDemographics.csv", "ActorID", "Sex", "Age")}
    votes = _votes(_read(tables, "tabulatedVotes.csv", "", "fileName", *VOTES), VOTES_OF[votes_of])
    levels = _levels(_read(tables, "summaryTable.csv", "FileName", *LEVELS.values()))
    lacking = [t for t in ("VideoDemographics.csv", "tabulatedVotes.csv", "summaryTable.csv") if t not in tables]
    if audio and lacking:
        LOG.warning("not there: %s; so no %s", ", ".join(lacking), _loss(lacking))
    for name in sorted(audio):
        code = _NAME.match(name)
        if code is None:
            strange += 1
            continue
        actor = actors.get(code[1], {})
        row: Row = {
            "utterance_id": name,
            "path": audio[name],
            "text": TEXTS.get(code[2], ""),
            "label": code[3],
            "votes": votes.get(name),
            "intensity": INTENSITIES[code[4]],
            "speaker": code[1],
            "gender": actor.get("Sex", "").lower(),
            "age": actor.get("Age"),
        }
        yield cast(Row, row | levels.get(name, {}))
    left_out(strange, "audio files that are not named as CREMA-D's are")


def example(root: Path) -> Path:
    names = ("1001_IEO_ANG_HI", "1001_DFA_NEU_XX", "1002_WSI_SAD_LO", "1040_ITH_SAD_X")
    write_tones(root, *(f"AudioWAV/{name}.wav" for name in names))
    write_text(
        root / "VideoDemographics.csv",
        '"ActorID","Age","Sex","Race","Ethnicity"\n'
        '1001,51,"Male","Caucasian","Not Hispanic"\n'
        '1002,21,"Female","Caucasian","Not Hispanic"\n',
    )
    write_text(
        root / "processedResults" / "tabulatedVotes.csv",
        '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
        '"100001",3,1,0,0,0,0,"1001_IEO_ANG_HI",4,0.75,"A"\n'  # voice only
        '"100002",0,0,0,0,0,5,"1040_ITH_SAD_XX",5,1,"S"\n'
        '"200001",0,0,9,0,0,0,"1001_IEO_ANG_HI",9,1,"F"\n'  # face only
        '"300001",0,0,0,8,0,0,"1001_IEO_ANG_HI",8,1,"H"\n',  # audio-visual
    )
    write_text(
        root / "processedResults" / "summaryTable.csv",
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        '"1","1001_IEO_ANG_HI","A","69.5","F","92.22","H","64.78"\n'
        '"2","1040_ITH_SAD_XX","A:S","37.2:58.6","S","57","S","57.38"\n',
    )
    listed = "".join(f'{n},"{name}"\n' for n, name in enumerate(names[:3], start=1))
    write_text(root / "SentenceFilenames.csv", '"Stimulus_Number","Filename"\n' + listed)
    return root


def _audio(root: Path) -> tuple[dict[str, str], int]:
    """Utterance -> path, a wav before an mp3; and the number of files with other names."""
    found: dict[str, str] = {}
    strange = 0
    for path in sorted(files_below(root, ".wav", ".mp3"), key=lambda p: p.lower().endswith(".mp3")):
        name = stem(path)
        if _NAME.match(name):
            found.setdefault(name + "X" if name.endswith("_X") else name, path)
        else:
            strange += 1
    return found, strange


def _tables(root: Path, audio: str) -> dict[str, Path]:
    """The release's CSV files: at the root, or beside the audio's folder where the release lies deeper."""
    beside = (root / audio).parent.parent if audio else root
    folders = [folder for base in (root, beside) for folder in (base, base / "processedResults")]
    names = ("SentenceFilenames.csv", "VideoDemographics.csv", "tabulatedVotes.csv", "summaryTable.csv")
    found = {n: next((f / n for f in folders if (f / n).is_file()), None) for n in names}
    return {name: path for name, path in found.items() if path is not None}


def _read(tables: dict[str, Path], name: str, *columns: str) -> Iterator[dict[str, str]]:
    if name in tables:
        yield from rows_of_csv(tables[name], *columns)


def _votes(rows: Iterator[dict[str, str]], kinds: str) -> dict[str, dict[str, float] | None]:
    """Utterance -> canonical emotion -> share of the votes in rows of some kinds, by their first digits."""
    counts: dict[str, dict[str, float]] = {}
    for row in rows:
        if row[""][:1] in kinds:
            of = counts.setdefault(row["fileName"], dict.fromkeys(VOTES.values(), 0))
            for letter, emotion in VOTES.items():
                of[emotion] += int(row[letter])
    return {name: shares(of) for name, of in counts.items()}


def _levels(rows: Iterator[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Utterance -> column -> mean level; a cell has two of them where two emotions have equal votes: `37.2:58.6`."""
    levels = {}
    for row in rows:
        try:
            given = {column: [float(x) for x in row[name].split(":")] for column, name in LEVELS.items() if row[name]}
        except ValueError:
            cells = ", ".join(row[name] for name in LEVELS.values())
            raise CorpusError(f"summaryTable.csv: {row['FileName']}", expected="levels such as 69.1", found=cells) from None
        levels[row["FileName"]] = {column: round(sum(values) / len(values), 6) for column, values in given.items()}
    return levels


def _loss(lacking: list[str]) -> str:
    lost = {"VideoDemographics.csv": "sex and age of actors", "tabulatedVotes.csv": "votes", "summaryTable.csv": "levels"}
    return " and no ".join(lost[name] for name in lacking)
