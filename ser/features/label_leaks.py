"""Labels that features give away by the way in which they were made, which the identity that they carry says.

A store's identity goes with what `ser store export` writes, so that a file which comes back is known for what it is.
"""

from collections.abc import Mapping
from typing import Any

from ser.errors import ConfigError, StoreError
from ser.features.stores.names import by_label
from ser.files import parse_json
from ser.metadata.texts import text_sources

IDENTITY = "identity"


def why(identity: Mapping[str, Any]) -> str:
    """The way in which a store's features give the true label away; "" where they do not."""
    scheme = by_label(identity)
    if scheme:
        return f"what was done to an utterance gives its true label away (scheme {scheme})"
    if text_sources.kind_of_source(text_sources.source_of(identity)) == text_sources.SIMULATED:
        return "the sentences were chosen by the true label"
    return ""


def refuse_bare(name: object, identity: Mapping[str, Any]) -> None:
    """Refuse to write such features to a file that cannot say so.

    Raises:
        StoreError: they are.
    """
    leak = why(identity)
    if leak:
        raise StoreError(
            f"{name} cannot be exported to a file that does not say what it is: {leak}",
            action="Export it with --format npz or parquet, which carry the store's identity.",
        )


def refuse_exported(name: str, carried: Any) -> None:
    """Refuse to import features of such a store.

    Args:
        name: of the file.
        carried: its statement of the store's identity, as JSON or parsed; None, or anything else, where there is none.

    Raises:
        ConfigError: they are.
    """
    try:
        identity = carried if isinstance(carried, dict) else parse_json(str(carried))
    except ValueError:
        return
    if not isinstance(identity, dict) or not all(isinstance(identity.get(k, {}), dict) for k in ("view", "text_source")):
        return
    leak = why(identity)
    if leak:
        raise ConfigError(
            f"{name} cannot be imported: {leak}",
            expected="features that do not depend on the label",
            action="Where it was exported from, the store is used as what it is: ser fit --audio or --text with its name.",
        )
