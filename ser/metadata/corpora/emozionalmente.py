"""Emozionalmente: 431 Italian amateurs, 18 sentences, seven emotions, recorded at home; each clip was judged by five listeners.

`metadata/samples.csv` has file, sentence, actor and the intended emotion, `evaluations.csv` the emotion that each listener
recognised, `users.csv` sex and age.
"""

from collections.abc import Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, canonical, files_below, left_out, rows_of_csv, shares
from ser.metadata.schema import Row

TITLE = "Emozionalmente, a crowdsourced Italian speech emotional corpus"
CITATION = (
    "F. Catania: Emozionalmente: a crowdsourced Italian speech emotional corpus. Zenodo, 2022. doi:10.5281/zenodo.6569824"
)
LICENCE = "CC BY 4.0"
URL = "https://zenodo.org/record/6569824"
LANGUAGE = "it"
TREE = """
audio/1612872848291.wav         6,902 files
metadata/samples.csv            file_name, sentence, actor, emotion_expressed
metadata/evaluations.csv        file_name, emotion_recognized: a line for each listener, where it is there
metadata/users.csv              username, gender, age, where it is there
"""
LABELS = by_word("anger", "disgust", "fear", "joy") | {"neutrality": "neutral"} | by_word("sadness", "surprise")
UTTERANCES = 6902
SENTENCES = 18
NOTES = (
    "Labels are the emotions that the actors meant to express; listeners recognised 66 % of them. Votes are the listeners'.",
    "All sentences are said in all emotions: text says nothing about the emotion.",
)


def parse(root: Path) -> Iterator[Row]:
    """Rows of `samples.csv`, in its order.

    Raises:
        CorpusError: no `samples.csv`, a table without its columns, or an emotion that the corpus does not have.
    """
    tables = {path.rsplit("/", 1)[-1]: root / path for path in sorted(files_below(root, ".csv"), key=lambda p: -p.count("/"))}
    if "samples.csv" not in tables:
        raise CorpusError(
            f"{root} holds no table of Emozionalmente",
            expected="metadata/samples.csv",
            action="Give the folder that holds metadata/ and audio/ with --root.",
        )
    audio = {path.rsplit("/", 1)[-1]: path for path in files_below(root, ".wav")}
    votes = _votes(_read(tables, "evaluations.csv", "file_name", "emotion_recognized"))
    users = {row["username"]: row for row in _read(tables, "users.csv", "username", "gender", "age")}
    unused = set(audio)
    for row in _read(tables, "samples.csv", "file_name", "sentence", "actor", "emotion_expressed"):
        file, label, user = row["file_name"], row["emotion_expressed"], users.get(row["actor"], {})
        unused.discard(file)
        gender = user.get("gender", "").lower()
        yield {
            "utterance_id": file.removesuffix(".wav"),
            "path": audio.get(file, f"audio/{file}"),
            "text": row["sentence"].strip(),
            "label": label,
            "emotion": canonical(LABELS, label, f"{tables['samples.csv']}: {file}"),
            "votes": votes.get(file),
            "speaker": row["actor"],
            "gender": {"f": "female", "m": "male"}.get(gender, gender if gender in ("female", "male") else ""),
            "age": user.get("age"),
        }
    left_out(len(unused), "audio files that are not in samples.csv")


def example(root: Path) -> Path:
    top = root / "emozionalmente_dataset"
    write_tones(top / "audio", "1001.wav", "1002.wav", "1003.wav")
    write_text(
        top / "metadata" / "samples.csv",
        "file_name,sentence,sentence_language,actor,emotion_expressed\n"
        '1001.wav,"Vorrei un bicchiere, grazie.",it,anna1,joy\n'
        "1002.wav,Il treno parte adesso.,it,anna1,neutrality\n"
        "1003.wav,Il treno parte adesso.,it,ugo7,anger\n",
    )
    write_text(
        top / "metadata" / "evaluations.csv",
        "file_name,evaluator,audio_quality,emotion_recognized\n"
        "1001.wav,e1,good,joy\n1001.wav,e2,bad,surprise\n1001.wav,e3,good,joy\n1003.wav,e1,good,disgust\n",
    )
    write_text(top / "metadata" / "users.csv", "username,gender,age,mother_tongue\nanna1,female,31,it\nugo7,male,45,it\n")
    return root


def _read(tables: dict[str, Path], name: str, *columns: str) -> Iterator[dict[str, str]]:
    if name not in tables:
        LOG.warning("not there: %s", name)
        return
    yield from rows_of_csv(tables[name], *columns)


def _votes(rows: Iterator[dict[str, str]]) -> dict[str, dict[str, float] | None]:
    """File -> canonical emotion -> share of the listeners who recognised it."""
    counts: dict[str, dict[str, float]] = {}
    for row in rows:
        of, emotion = counts.setdefault(row["file_name"], {}), LABELS.get(row["emotion_recognized"], "other")
        of[emotion] = of.get(emotion, 0) + 1
    return {file: shares(of) for file, of in counts.items()}
