"""Utterances that could not be extracted: a CSV beside the store, and one message where it is all of them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ser.errors import AudioError, SerError
from ser.features.stores.failures import Failure


def all_failed(what: str, failures: Sequence[Failure], path: Path) -> SerError:
    """The error where not one utterance could be extracted: the commonest reason, and how many share it."""
    kind, count = Counter(f.kind for f in failures).most_common(1)[0]
    first = next(f for f in failures if f.kind == kind)
    alike = "all of them alike" if count == len(failures) else f"{count} of them alike"
    return AudioError(
        f"{what}: none of {len(failures)} utterances can be used, {alike} (listed in {path}): {first.reason}"
    )
