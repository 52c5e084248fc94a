"""Names of feature stores and of augmented views, and the options of `ser extract` that are in them.

`ser.extract.options.store_name` makes the former. A view of a store is a store beside it, `STORE@VIEW.h5`, of the same
utterances. Views are made by `ser extract --views`; training draws among them (`ser.features.view_rows`), evaluation averages
over them or tests heads on each.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.errors import ConfigError

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


TTA_VIEWS = ("speed0.95", "speed1.05", "noise15", "noise20")
# The conditions of `ser evaluate --suite`: noise, a room, codecs, bandwidth, clipping, level.
SUITE_VIEWS = ("noise20", "noise10", "reverb", "opus16", "gsm", "lowpass3400", "clip1", "clip10", "gain-12", "gain+12")
LISTS: dict[str, tuple[str, ...]] = {"tta": TTA_VIEWS, "suite": SUITE_VIEWS}


def view_stores(folder: Path, store: str) -> dict[str, Path]:
    """The views of a store that are there, by name, and the paths to open them with.

    Args:
        folder: of the dataset's stores.
        store: the original's name.
    """
    merged = {path.name.removesuffix(".h5") for path in folder.glob("*.h5")}
    shards = {path.parent.name.removesuffix(".shards") for path in folder.glob("*.shards/*.h5")}
    found = (name for name in sorted(merged | shards) if split_name(name)[0] == store)
    return {view: folder / f"{name}.h5" for name in found if (view := split_name(name)[1])}


def by_label(identity: Mapping[str, Any]) -> str:
    """The label scheme by whose classes a store's utterances were augmented, or ""."""
    return str((identity.get("view") or {}).get("scheme") or "")


def source_as(source: bytes, emotion: str) -> bytes:
    """SHA-256 of the source of a class-differentiated view: the utterance's audio, and the class that chose for it."""
    return hashlib.sha256(source + emotion.encode()).digest()


def refuse_by_label(name: str, identity: Mapping[str, Any], use: str) -> None:
    """Refuse a view that was chosen by the true label anywhere but on training rows.

    Args:
        name: of the store.
        identity: the store's.
        use: the use that is refused, as in "the features of validation and test data".

    Raises:
        ConfigError: the view is such a one.
    """
    scheme = by_label(identity)
    if scheme:
        raise ConfigError(
            f"{name} cannot be {use}: what was done to an utterance gives its true label away (scheme {scheme})",
            expected="features that do not depend on the label",
            action=f"Draw it for training utterances: --audio {split_name(name)[0]} --views {split_name(name)[1]}",
        )


def named(words: Sequence[str], there: Sequence[str], store: str, dataset: str) -> list[str]:
    """Resolve words for views: names, `all` that there are, `tta` or `suite`.

    Raises:
        ConfigError: one that is not there.

    >>> named(["tta", "reverb"], ["reverb", *TTA_VIEWS], "egemaps", "emodb")
    ['speed0.95', 'speed1.05', 'noise15', 'noise20', 'reverb']
    """
    lists: dict[str, Sequence[str]] = {**LISTS, "all": there}
    wanted = list(dict.fromkeys(view for word in words for view in lists.get(word, [word])))
    lacking = [view for view in wanted if view not in there]
    if lacking or not wanted:
        again, what, it = ",".join(lacking) or "tta", f"views {', '.join(lacking)}".strip(), "them"
        if len(lacking) == 1:
            what, it = f"view {again}", "it"
        raise ConfigError(
            f"{dataset} has no {what} of {store}",
            found=", ".join(there) or ("no views" if lacking else None),
            action=f"Make {it}: ser extract --dataset {dataset} --audio {options_of_name(store)} --views {again}",
        )
    return wanted
