"""What a saved head answers: a table with a row for each that was asked, in the order asked, and what must be said with it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.predict.inputs import Given


def table(
    asked: Given, errors: NDArray[Any], shares: NDArray[np.float64], classes: Sequence[str], dialogues: bool
) -> pd.DataFrame:
    """Predictions as a table.

    Args:
        errors: why each cannot be used, `(n,)`; "" where it can.
        shares: probabilities, `(n, classes)`; NaN where it cannot.
        dialogues: whether the head reads dialogues; they then have columns.
    """
    good = errors == ""
    best = np.full(len(asked), "", dtype=object)
    best[good] = np.array(classes, dtype=object)[shares[good].argmax(-1)]
    columns: dict[str, Any] = {"text" if asked.files is None else "file": asked.names}
    if dialogues:
        columns |= {"dialogue": asked.dialogue_names, "turn": asked.turn_numbers}
    columns |= {"predicted": best, "probability": shares.max(-1), "error": errors}
    shown = pd.DataFrame(shares, columns=[f"p_{c}" for c in classes])
    joined: pd.DataFrame = pd.concat([pd.DataFrame(columns), shown], axis=1)
    return joined


def notes(asked: Given, errors: NDArray[Any], dialogues: bool, by: str) -> Iterator[str]:
    """What was taken for granted, and what the predictions lack.

    Args:
        errors: as `table`.
        dialogues: whether the head reads dialogues.
        by: `speaker` or `corpus`, where features were standardised by their own statistics; else nothing.
    """
    if by == "speaker" and asked.speakers:
        yield f"each of {len(set(asked.speakers))} speakers is standardised by their own recordings"
    elif by:
        yield f"the head was normalised per {by}: all that is given is standardised together, as one {by}'s"
    if not dialogues:
        if asked.unused:
            yield "the head reads one utterance at a time: dialogues and turns are not used"
        return
    names, good = np.array(asked.dialogue_names, dtype=object), errors == ""
    if asked.how:
        count = len(set(names))
        yield f"{len(asked)} turns, {count} {'dialogue' if count == 1 else 'dialogues'}: {asked.how}"
    without = sorted(set(names[~good]) & set(names[good]))
    if without:
        first = ", ".join(without[:3]) + (", ..." if len(without) > 3 else "")
        yield f"turns that cannot be used: the others of their dialogues ({first}) are predicted without them"
    alone = int((pd.Series(names[good]).value_counts() == 1).sum())
    if alone:
        yield f"dialogues of one turn: {alone}; the head was trained to see a turn among others"


def rendered(found: pd.DataFrame, form: str) -> str:
    """Predictions as text: `table` (rounded), `csv`, or `jsonl` (empty values left out)."""
    if form == "csv":
        return found.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if form == "jsonl":
        rows = ({k: v for k, v in r.items() if v != "" and v == v} for r in found.to_dict("records"))
        return "\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    good = found["error"] == ""
    shown = found[good].drop(columns="error")
    lines = [shown.to_string(index=False, float_format=lambda v: f"{v:.3f}")] if len(shown) else []
    return "\n".join(lines + [f"{r[1] or f'row {r[0] + 1}'}: {r.error}" for r in found[~good].itertuples()])
