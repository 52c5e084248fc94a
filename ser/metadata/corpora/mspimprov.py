"""MSP-IMPROV: twelve actors in six sessions of two: 20 target sentences, improvised and read, and all other turns.

File names: sentence and the emotion it is to be said in, actor whose sentence it is, kind, turn:
`MSP-IMPROV-S01A-F01-P-FM01.wav`. Kinds: T the target sentence improvised, R the target sentence read, S other turns of the
improvisation, P between the recordings. The second letter of the turn is the sex of the person who speaks, the digits of the
actor are the session. `Evaluation.txt` has a line for each turn, then one for each listener:
`UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.8; V:3.0; D:3.0 ; N:3.6;`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.labels import by_word
from ser.metadata.parsing import canonical, files_below, left_out, read_text, shares, stem
from ser.metadata.schema import Row

TITLE = "MSP-IMPROV"
CITATION = (
    "C. Busso, S. Parthasarathy, A. Burmania, M. AbdelWahab, N. Sadoughi, E. Mower Provost: MSP-IMPROV: An Acted Corpus of "
    "Dyadic Interactions to Study Emotion Perception. IEEE Transactions on Affective Computing 8(1), 67-80, 2017. "
    "doi:10.1109/TAFFC.2016.2515617"
)
LICENCE = "for research, on request from the MSP laboratory, University of Texas at Dallas (licence agreement)"
URL = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html"
LANGUAGE = "en"
TREE = """
Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav            8,438 files
Evaluation.txt                                                  classes and ratings, of all listeners and of each
All_human_transcriptions/MSP-IMPROV-S01A-F01-P-FM01.txt         text, where it is there
"""
LABELS = {
    "A": "anger",
    "H": "happiness",
    "S": "sadness",
    "N": "neutral",
    "O": "other",
    "X": "",  # the listeners do not agree
}
DIMENSIONS = {"valence": (1, 5), "arousal": (1, 5), "dominance": (1, 5), "naturalness": (1, 5)}
UTTERANCES = 8438
SENTENCES = None
NOTES = (
    "Ratings are the means as the release has them. One public reader turns the activation round (6 - A): it says that 1 is "
    "active and 5 passive. Look before arousal is compared with that of another corpus.",
    "The speaker is taken from the second letter of the turn, as two public readers do; another has the actor whose sentence "
    "it is. Both are of one session: --protocol session is sure.",
    "Of several lines of one listener for a turn the first counts.",
    "The prompt is the target sentence; turns of other kinds are free speech.",
)
WORDS = by_word("Angry", "Happy", "Sad", "Neutral")
_KEY = r"S(\d\d)[AHSN]-[FM](\d\d)-([PRST])-[FM]([FM])(\d+)"
_NAME = re.compile(f"MSP-IMPROV-({_KEY})")
_NUMBER = r"(\d+(?:\.\d+)?|NaN)"
_HEAD = re.compile(rf"UTD-IMPROV-({_KEY})\.avi; *(\w); *A:{_NUMBER} *; *V:{_NUMBER} *; *D:{_NUMBER} *; *N:{_NUMBER} *;")
_LISTENER = re.compile(r"([^;]+); *(\w+);.*; *A:")


def parse(root: Path) -> Iterator[Row]:
    """Rows of the files named as those of MSP-IMPROV that are in the evaluation file.

    Raises:
        CorpusError: no evaluation file, or a class that MSP-IMPROV does not have.
    """
    rows = _evaluated(root)
    texts = {stem(p): root / p for p in files_below(root, ".txt") if _NAME.fullmatch(stem(p))}
    lacking = 0
    for row, name in named_rows(root, _NAME, "MSP-IMPROV"):
        known = rows.get(name[1])
        if known is None:
            lacking += 1
            continue
        session, kind = name[3], name[4]
        yield {
            **known,
            **row,
            "text": read_text(texts[name[0]]).strip() if name[0] in texts else "",
            "prompt": f"S{name[2]}" if kind in "RT" else "",
            "speaker": f"{name[5]}{session}",
            "gender": "female" if name[5] == "F" else "male",
            "session": f"session{int(session)}",
            "dialogue": name[1].rsplit("-", 1)[0],
            "turn": int(name[6]),
        }
    left_out(lacking, "audio files that are not in Evaluation.txt")


def example(root: Path) -> Path:
    names = ("session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01", "session1/S02H/T/MSP-IMPROV-S02H-M01-T-FM01",
             "session2/S01A/R/MSP-IMPROV-S01A-F02-R-FF01")  # fmt: skip
    write_tones(root / "Audio", *(f"{name}.wav" for name in names))
    write_text(
        root / "Evaluation.txt",
        "UTD-IMPROV-S01A-F01-P-FM01.avi; X; A:2.800000; V:3.000000; D:NaN ; N:3.600000;\n"
        "perceptual-eval1; Neutral; Neutral, Concerned; A:3.000000; V:3.000000; D:NaN; N:4.000000;\n"
        "WORKER_2; Other; Other (bored; tired); A:3.000000; V:3.000000; D:3.000000; N:3.000000;\n"
        "WORKER_2; Other; Other (bored; tired); A:3.000000; V:3.000000; D:3.000000; N:3.000000;\n"
        "\n"
        "UTD-IMPROV-S02H-M01-T-FM01.avi; H; A:2.000000; V:4.500000; D:3.000000 ; N:4.000000;\n"
        "WORKER_2; Happy; Happy,Excited; A:2.000000; V:4.000000; D:3.000000; N:4.000000;\n"
        "\n"
        "UTD-IMPROV-S01A-F02-R-FF01.avi; A; A:2.333333; V:3.333333; D:3.000000 ; N:3.666667;\n",
    )
    write_text(root / "All_human_transcriptions" / "MSP-IMPROV-S02H-M01-T-FM01.txt", "How can I not?\n")
    return root


def _evaluated(root: Path) -> dict[str, Row]:
    """Turn -> class, ratings and votes, from `Evaluation.txt` at the root or one folder below or above it."""
    places = (root / "Evaluation.txt", *sorted(root.glob("*/Evaluation.txt")), root.parent / "Evaluation.txt")
    file = next((f for f in places if f.is_file()), None)
    if file is None:
        raise CorpusError(
            f"{root} holds no Evaluation.txt",
            expected="the file of the release, beside Audio/",
            action="Give the folder that holds both with --root.",
        )
    rows: dict[str, Row] = {}
    counts: dict[str, dict[str, str]] = {}  # turn -> listener -> emotion
    of: dict[str, str] = {}
    malformed = 0
    for line in read_text(file).splitlines():
        head, listener = _HEAD.match(line), _LISTENER.match(line)
        if head:
            of = counts.setdefault(head[1], {})
            arousal, valence, dominance, naturalness = (None if x == "NaN" else float(x) for x in head.groups()[7:])
            ratings = {"valence": valence, "arousal": arousal, "dominance": dominance, "naturalness": naturalness}
            emotion = canonical(LABELS, head[7], f"{file}: {head[1]}")
            rows[head[1]] = cast(Row, {**ratings, "label": head[7], "emotion": emotion})
        elif line.startswith("UTD-IMPROV-"):
            malformed += 1
            of = {}  # what follows is of no turn that is known
        elif listener:
            of.setdefault(listener[1], WORDS.get(listener[2], "other"))
    left_out(malformed, f"malformed lines of {file.name}")
    for name, row in rows.items():
        words = list(counts[name].values())
        row["votes"] = shares({word: words.count(word) for word in words})
    return rows
