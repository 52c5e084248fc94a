"""Stamps that make a comparison worthless: a record's own stamps decide with which records it may be compared.

A stamp is a sentence on a record; those that void a comparison are known by their words. A new kind is one more entry here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ser.errors import ConfigError

EQUAL = "all runs are equal"
EQUAL_RUNS = f"{EQUAL}: their predictions do not differ"


@dataclass(frozen=True)
class Void:
    """A kind of stamp that voids a comparison.

    Attributes:
        name: its name for `--allow`.
        words: a pattern that its sentences match.
        why: the fault of the comparison.
        alone: true if the comparison is wrong only where not all have the stamp.
    """

    name: str
    words: str
    why: str
    alone: bool = True


VOIDS = (
    Void(
        "simulated-text",
        r"simulated (text|sentence|transcript)|leak\w* the (true )?label|label leak",
        "its text was chosen by the true label, so its scores measure no recognition",
        alone=False,
    ),
    Void("oracle", r"\(oracle\)|target's labels: what the others", "it has read labels of the target that the other has not"),
    Void(
        "seen-labels",
        r"^(\S+: )?(encoder|classifier) has seen this corpus: .* in fine-tuning",
        "its encoder or classifier was trained on this corpus's labels, test utterances among them, and the other's was not",
    ),
)


def voids(stamps: Sequence[str]) -> dict[str, str]:
    """The kinds that a record's stamps are of, each with its sentence."""
    found: dict[str, str] = {}
    for stamp in stamps:
        for kind in VOIDS:
            if re.search(kind.words, stamp, re.IGNORECASE):
                found.setdefault(kind.name, stamp)
    return found


def refuse_void(stamps: Mapping[str, Sequence[str]], allow: Sequence[str] = (), force: bool = False) -> list[str]:
    """Refuse to compare records of which a stamp voids the comparison.

    Args:
        stamps: by the record's name.
        allow: names of kinds that are allowed.
        force: allow all.

    Returns:
        A remark for each record and kind that was allowed all the same.

    Raises:
        ConfigError: one is not allowed, or a name is not that of a kind.
    """
    names = [kind.name for kind in VOIDS]
    strange = [name for name in allow if name not in names]
    if strange:
        raise ConfigError(f"--allow {strange[0]}", expected=f"one of {', '.join(names)}")
    found = {name: voids(own) for name, own in stamps.items()}
    remarks = []
    for kind in VOIDS:
        having = [name for name, own in found.items() if kind.name in own]
        if not having or (kind.alone and len(having) == len(found)):
            continue
        if not force and kind.name not in allow:
            raise ConfigError(
                f"{having[0]} cannot be compared: {kind.why}",
                found=f"its stamp {found[having[0]][kind.name]!r}",
                action=f"Leave it out, or compare all the same with --allow {kind.name} (the result says so).",
            )
        remarks += [f"{name}: void ({kind.name}): {kind.why}" for name in having]
    return remarks
