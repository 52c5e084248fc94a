"""Comparison of the identities of two stores, and the provenance of merged ones."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ser.errors import StoreError
from ser.features.stores.layout import Facts
from ser.files import JsonObject

DECLARED = "declared_encoder"  # of features that were made elsewhere: the encoder that their user says they are of


def same_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Keys by which two identities are not of the same encoder; [] where they are.

    Imported features of two corpora come from different files. They are of the same encoder where the user has declared the
    same one for both, and their number and names are the same.
    """
    if one.get(DECLARED) and other.get(DECLARED):
        one, other = ({k: v for k, v in identity.items() if k not in ("files", "encoder")} for identity in (one, other))
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def differences(there: Facts, here: Facts) -> list[str]:
    """Phrases for what differs, one for each key: `layer is 12 there and 6 here`."""
    if there.encoder != here.encoder:  # then all differs
        return [f"encoder is {there.encoder} there and {here.encoder} here"]
    old, new = _flat(asdict(there)), _flat(asdict(here))
    return [
        f"{key} differs" if key.startswith("assets.") else f"{key} is {_show(old, key)} there and {_show(new, key)} here"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def refuse_other(path: Path, there: Facts, here: Facts) -> None:
    """Raise a StoreError if a store of these facts cannot take features of those."""
    differing = differences(there, here)
    if differing:
        raise StoreError(
            f"the feature store {path} was made with other settings: {'; '.join(differing)}",
            action="--overwrite starts this store again; another --workspace keeps both.",
        )


def merged_provenance(parts: list[JsonObject], now: JsonObject) -> JsonObject:
    """Provenance of a merged file: that of the newest part, and under `earlier` those that differ but in time."""
    runs: list[JsonObject] = []
    for part in [*parts, now or parts[-1]]:
        for run in [*part.get("earlier", []), {k: v for k, v in part.items() if k != "earlier"}]:
            same = [r for r in runs if _timeless(r) == _timeless(run)]
            checked = [{"verified": r["verified"]} for r in same if "verified" in r]
            runs = [r for r in runs if r not in same] + [{**(checked[-1] if checked else {}), **run}]
    return {**runs[-1], **({"earlier": runs[:-1]} if runs[:-1] else {})}


def _timeless(run: JsonObject) -> JsonObject:
    return {k: v for k, v in run.items() if k not in ("time", "verified")}


def _flat(value: JsonObject, prefix: str = "") -> JsonObject:
    flat: JsonObject = {}
    for key, item in value.items():
        # The identity's own keys speak for themselves: `layer`, not `identity.layer`.
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            flat |= _flat(item, "" if name == "identity" else f"{name}.")
        else:
            flat[name] = item
    return flat


def _show(flat: JsonObject, key: str) -> str:
    return str(flat[key]) if key in flat else "not given"
