"""EMOVO: six Italian actors, 14 sentences, seven emotions.

File names: emotion (of its Italian word), actor, sentence: `gio-f1-b1.wav`. Sentences: b short, l long, n without sense,
d questions.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_tones
from ser.metadata.corpus import named_rows
from ser.metadata.parsing import stem
from ser.metadata.schema import Row

TITLE = "EMOVO, an Italian emotional speech database"
CITATION = (
    "G. Costantini, I. Iadarola, A. Paoloni, M. Todisco: EMOVO Corpus: an Italian Emotional Speech Database. LREC 2014, "
    "3501-3504. https://aclanthology.org/L14-1478 (no DOI)"
)
LICENCE = "freely available for research (published without a licence text)"
URL = "http://voice.fub.it/activities/corpora/emovo/index.html"
LANGUAGE = "it"
TREE = """
f1/gio-f1-b1.wav                    588 files in f1/, f2/, f3/, m1/, m2/, m3/
"""
LABELS = {
    "rab": "anger",  # rabbia
    "dis": "disgust",  # disgusto
    "pau": "fear",  # paura
    "gio": "happiness",  # gioia
    "neu": "neutral",
    "tri": "sadness",  # tristezza
    "sor": "surprise",  # sorpresa
}
UTTERANCES = 588
SENTENCES = 14
NOTES = ("All sentences are said in all emotions: text says nothing about the emotion.",)
TEXTS = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna: nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
AGES = {"m1": 30, "m2": 27, "m3": 30, "f1": 28, "f2": 23, "f3": 25}
# Test speakers of EmoBox's six folds (Ma et al., Interspeech 2024).
EMOBOX_FOLDS = (("f2",), ("m3",), ("m2",), ("f3",), ("f1",), ("m1",))
_NAME = re.compile(r"(?P<label>[a-z]{3})-(?P<speaker>([mf])[1-3])-(?P<prompt>[a-z]\d)")


def parse(root: Path) -> Iterator[Row]:
    for row, name in named_rows(root, _NAME, "EMOVO", name=lambda path: stem(path).lower()):
        yield {
            **row,
            "text": TEXTS.get(name["prompt"], ""),
            "gender": "female" if name[3] == "f" else "male",
            "age": AGES[name["speaker"]],
        }


def example(root: Path) -> Path:
    return write_tones(root, *(f"EMOVO/{name}.wav" for name in ("f1/gio-f1-b1", "m3/tri-m3-l3", "m3/neu-m3-d2")))
