"""Languages of corpora: the ISO 639-1 codes of a table in words, and the languages that two corpora share."""

import pandas as pd

NAMES = {
    "am": "amharic",
    "ar": "arabic",
    "bn": "bengali",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "he": "hebrew",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "kn": "kannada",
    "ko": "korean",
    "ml": "malayalam",
    "mr": "marathi",
    "nl": "dutch",
    "no": "norwegian",
    "pa": "punjabi",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "sw": "swahili",
    "ta": "tamil",
    "te": "telugu",
    "th": "thai",
    "tr": "turkish",
    "uk": "ukrainian",
    "ur": "urdu",
    "vi": "vietnamese",
    "zh": "chinese",
}


def spoken(frame: pd.DataFrame) -> list[str]:
    """The languages of a table's rows in words, a code without a known word as it is; [] where none is given.

    >>> spoken(pd.DataFrame({"language": ["de", "", "en-GB", "de", "gsw"]}))
    ['english', 'german', 'gsw']
    """
    codes = {str(code).lower() for code in frame["language"]} - {""}
    return sorted({NAMES.get(code.replace("_", "-").split("-")[0], code) for code in codes})


def stamps(source: list[str], target: list[str]) -> list[str]:
    """The stamp of heads that were trained on some languages and tested on others; [] where there is nothing to say."""
    found = crossing(source, target)
    return [] if found is None else [f"cross-language: {found}"]


def crossing(source: list[str], target: list[str]) -> str | None:
    """`german -> english` where two corpora share no language; None where they do, or where one's is not known.

    >>> crossing(["german"], ["english", "hindi"]), crossing(["english"], ["english", "hindi"]), crossing([], ["hindi"])
    ('german -> english, hindi', None, None)
    """
    if not source or not target or set(source) & set(target):
        return None
    return f"{', '.join(source)} -> {', '.join(target)}"
