"""RAVDESS: 24 North American actors, two sentences, eight emotions, two intensities; the speech part, audio only.

File names are seven numbers: modality (03 audio) - vocal channel (01 speech, 02 song) - emotion - intensity - statement -
repetition - actor (odd: male).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.labels import by_word
from ser.metadata.parsing import files_below, left_out, stem
from ser.metadata.schema import Row

TITLE = "RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song (speech, audio only)"
CITATION = (
    "S. R. Livingstone, F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS): A dynamic, "
    "multimodal set of facial and vocal expressions in North American English. PLoS ONE 13(5): e0196391, 2018. "
    "doi:10.1371/journal.pone.0196391"
)
LICENCE = "CC BY-NC-SA 4.0"
URL = "https://zenodo.org/record/1188976"
RELEASE = "1.0.0, Audio_Speech_Actors_01-24.zip"
LANGUAGE = "en"
TREE = """
Actor_01/03-01-01-01-01-01-01.wav       ... Actor_24/: directly here, or in audio_speech_actors_01-24/
"""
LABELS = by_word("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
UTTERANCES = 1440
SENTENCES = 2
NOTES = (
    "Song (vocal channel 02) is left out, and so are video files; copies of a file in a second folder are used once.",
    "Two files of actor 7 are byte-identical: 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07.",
)


def _actor(number: int) -> str:
    return f"Actor_{number:02d}"


# Test speakers of EmoBox's six folds (Ma et al., Interspeech 2024).
EMOBOX_FOLDS = tuple(
    tuple(_actor(n) for n in fold)
    for fold in ((1, 11, 20, 21), (4, 10, 12, 14), (8, 9, 19, 23), (3, 5, 7, 24), (2, 15, 16, 18), (6, 13, 17, 22))
)
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)$")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the spoken audio files anywhere below the folder."""
    words = dict(enumerate(LABELS, start=1))
    seen: set[str] = set()
    songs = strange = copies = 0
    for path in files_below(root, ".wav"):
        name = _NAME.match(stem(path))
        if name is None or name[1] != "03":
            strange += 1
        elif name[2] == "02":
            songs += 1
        elif name[0] in seen:
            copies += 1
        else:
            seen.add(name[0])
            label = words.get(int(name[3]), name[3])
            yield {
                "utterance_id": name[0],
                "path": path,
                "text": STATEMENTS.get(name[5], ""),
                "label": label,
                "intensity": INTENSITIES.get(name[4], ""),
                "speaker": _actor(int(name[7])),
                "gender": "male" if int(name[7]) % 2 else "female",
            }
    left_out(songs, "song files")
    left_out(copies, "second copies of a file")
    left_out(strange, "wav files that are not named as RAVDESS audio is")


def example(root: Path) -> Path:
    names = ("03-01-01-01-01-01-01", "03-01-08-02-02-02-01", "03-01-06-02-02-01-12")
    return write_tones(root, *(f"Actor_{name[-2:]}/{name}.wav" for name in names))
