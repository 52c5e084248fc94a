"""EMNS: one speaker of British English who narrates stories in eight emotions, with levels of expression.

`metadata.csv` is parted by `|`: id, utterance, description, emotion, date_created, status, gender, age, level, audio_recording
(`wavs/recorded_audio_RF6OuQ4.webm`), user_id. The audio comes in archives of WebM files.
"""

from collections.abc import Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.labels import by_word
from ser.metadata.parsing import canonical, files_below, left_out, rows_of_csv, stem
from ser.metadata.schema import Row

TITLE = "EMNS, the Emotive Narrative Storytelling corpus"
CITATION = (
    "K. A. Noriy, X. Yang, J. J. Zhang: EMNS /Imz/ Corpus: An emotive single-speaker dataset for narrative storytelling in "
    "games, television and graphic novels. arXiv:2305.13137, 2023. doi:10.48550/arXiv.2305.13137"
)
LICENCE = "Apache 2.0"
URL = "https://www.openslr.org/136"
LANGUAGE = "en"
TREE = """
metadata.csv                                    text, emotion, level; here or beside the audio
cleaned_webm/recorded_audio_RF6OuQ4.webm        1,181 files; also raw_webm/, wavs/
"""
LABELS = by_word("Angry", "Disgust", "Excited", "Happy", "Neutral", "Sad", "Sarcastic", "Surprised")
UTTERANCES = 1181
SENTENCES = None
NOTES = (
    "One speaker: nothing can be tested on a speaker that was not trained on.",
    "The text was chosen for the emotion, so that text alone says much of it. The intensity is the level of expression.",
    "A file counts once: the cleaned recording before the raw one.",
)
COLUMNS = ("utterance", "emotion", "gender", "age", "level", "audio_recording", "user_id")
_ENDINGS = (".wav", ".flac", ".webm")


def parse(root: Path) -> Iterator[Row]:
    """Rows of `metadata.csv` whose recording is there.

    Raises:
        CorpusError: no `metadata.csv`, one without its columns, or an emotion that EMNS does not have.
    """
    table = next((root / f for f in files_below(root, ".csv") if f.rsplit("/", 1)[-1] == "metadata.csv"), None)
    if table is None:
        raise CorpusError(
            f"{root} holds no metadata.csv", expected="the file of the release", action="Download it beside the audio."
        )
    audio: dict[str, str] = {}
    for path in sorted(files_below(root, *_ENDINGS), key=lambda p: ("raw" in p.lower(), p)):
        audio.setdefault(stem(path), path)
    lacking, unused = 0, set(audio)
    for cells in rows_of_csv(table, *COLUMNS, delimiter="|"):
        name = stem(cells["audio_recording"])
        if name not in audio:
            lacking += 1
            continue
        unused.discard(name)
        label, gender = cells["emotion"].strip(), cells["gender"].strip().lower()
        yield {
            "utterance_id": name,
            "path": audio[name],
            "text": cells["utterance"].strip(),
            "label": label,
            "emotion": canonical(LABELS, label, f"{table}: {name}"),
            "intensity": cells["level"].strip(),
            "speaker": cells["user_id"].strip(),
            "gender": gender if gender in ("female", "male") else "",
            "age": cells["age"].strip() if cells["age"].strip().isdigit() else None,
        }
    left_out(lacking, "rows of metadata.csv without their recording")
    left_out(len(unused), "audio files that are not in metadata.csv")


def example(root: Path) -> Path:
    write_text(
        root / "metadata.csv",
        "id|utterance|description|emotion|date_created|status|gender|age|level|audio_recording|user_id\n"
        "1|And then it was gone.|a whisper|Sad|2022-05-01|complete|female|20s|7|wavs/recorded_audio_aB1.webm|3\n"
        '2|"""No!"", she said."|loud|Surprised|2022-05-01|complete|female|20s|9|wavs/recorded_audio_cD2.webm|3\n'
        "3|Of course it was.|dry|Sarcastic|2022-05-01|pending|female|20s|4|wavs/recorded_audio_eF3.webm|3\n",
    )
    write_tones(root / "cleaned_webm", "recorded_audio_aB1.wav", "recorded_audio_cD2.wav")
    return root
