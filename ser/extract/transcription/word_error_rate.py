"""Word error rate: the distance of recognised text from the words that were said."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WordErrors:
    """Errors of some utterances together.

    Attributes:
        errors: words substituted, left out or put in, the fewest that make one text of the other (Levenshtein 1966).
        words: of the reference.
        utterances: their number.
    """

    errors: int
    words: int
    utterances: int

    @property
    def rate(self) -> float:
        """Errors over words of the reference; over 1 where much was put in."""
        return self.errors / self.words


def words_of(text: str) -> list[str]:
    """Words as they are compared: lower-cased, without punctuation and symbols; marks of Indic scripts stay.

    >>> words_of("Kids are talking, by the door!")
    ['kids', 'are', 'talking', 'by', 'the', 'door']
    """
    kept = "".join("" if c == "'" else " " if unicodedata.category(c)[0] in "PS" else c for c in text.lower())
    return unicodedata.normalize("NFC", kept).split()


def word_errors(pairs: Iterable[tuple[str, str]]) -> WordErrors | None:
    """Errors of pairs of reference and recognised text; None where no reference has a word.

    >>> word_errors([("dogs are sitting by the door", "Dogs sitting by the the door.")])
    WordErrors(errors=2, words=6, utterances=1)
    """
    from rapidfuzz.distance import Levenshtein

    errors = words = utterances = 0
    for reference, heard in pairs:
        expected = words_of(reference)
        if expected:
            errors += int(Levenshtein.distance(expected, words_of(heard)))
            words += len(expected)
            utterances += 1
    return WordErrors(errors, words, utterances) if words else None
