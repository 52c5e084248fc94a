"""Names of augmented views: a view of a store is a store beside it, `STORE@VIEW.h5`, of the same utterances.

Views are made by `ser extract --views`; training draws among them (`ser.features.view_rows`), evaluation averages over them or
tests heads on each.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.features.stores.names import options_of_name, split_name

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
        again = ",".join(lacking) or "tta"
        raise ConfigError(
            f"{dataset} has no view {', '.join(lacking)} of {store}" if lacking else f"{dataset} has no views of {store}",
            found=", ".join(there) or "no views",
            action=f"Make it: ser extract --dataset {dataset} --audio {options_of_name(store)} --views {again}",
        )
    return wanted
