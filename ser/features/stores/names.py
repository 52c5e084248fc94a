"""Names of feature stores, and the options of `ser extract` that are in them (`ser.extract.options.store_name` makes them)."""

import re
from collections.abc import Iterable

JOINT = "+"  # between encoder and source of the text
CLASSES = ".classes"  # at the end of the name of a store with a classifier's answers (`ser classify`)
MARK = "@"  # before the name of an augmented view

# Parts of a name after the encoder's that are neither layers nor a pooling of one word: the options that they stand for.
OPTIONS = {
    "frame": ["--level", "frame"],
    "utterance": ["--level", "utterance"],
    "exact": ["--window", "exact"],
    "mean-std": ["--pooling", "mean,std"],
}


def split_name(name: str) -> tuple[str, str]:
    """The store and the view of a store's name; the view of an original is "".

    >>> split_name("egemaps@noise15"), split_name("egemaps")
    (('egemaps', 'noise15'), ('egemaps', ''))
    """
    store, _, view = name.partition(MARK)
    return store, view


def originals(names: Iterable[str]) -> list[str]:
    """The names that are neither of a view nor of a classifier's answers: those two are taken by name only.

    >>> originals(["egemaps", "egemaps@noise15", "emotion2vec-plus-base.classes"])
    ['egemaps']
    """
    return [name for name in names if MARK not in name and not name.endswith(CLASSES)]


def options_of_name(store: str) -> str:
    """The words to give `ser extract` after `--audio` or `--text` for a store of this name.

    >>> options_of_name("bert.frame"), options_of_name("bert+asr-whisper-small.cls.layers-3-5")
    ('bert --level frame', 'bert --text-source asr-whisper-small --pooling cls --layers 3,5')
    >>> options_of_name("whisper-tiny.mean-std.exact.layers-all")
    'whisper-tiny --pooling mean,std --window exact --layers all'
    """
    first, *parts = split_name(store)[0].split(".")
    encoder, _, source = first.partition(JOINT)
    words = [encoder, *(["--text-source", source] if source else [])]
    for part in parts:
        layers = re.fullmatch(r"layers?-(.+)", part)
        if layers:
            words += ["--layers", layers[1].replace("-", ",")]
        else:
            words += OPTIONS.get(part, ["--pooling", part])
    return " ".join(words)
