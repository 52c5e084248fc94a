"""A small corpus of synthesised emotional speech, for `ser demo` and the tests. No recording of people is in it.

Source-filter synthesis after Fant (1960) and Klatt (1980), a polynomial glottal pulse (Rosenberg 1971); the emotions' pitch,
energy, tempo and voice quality follow the directions of Scherer (1986, 2003) and Juslin & Laukka (2003). `phones.py` has
the sentences, `voices.py` the speakers and their ways of speaking, `sound.py` the signal processing, `corpus.py` the files.
"""

from ser.synthesis.corpus import MARKER, Utterance, make_corpus, plan, synthesise
from ser.synthesis.voices import ACCENTS

__all__ = ["ACCENTS", "MARKER", "Utterance", "make_corpus", "plan", "synthesise"]
