"""The notes of an experiment's runs, as its summary has them."""

from collections.abc import Sequence

import pandas as pd

from ser.results.records.model import RunResult
from ser.results.records.names import amount_name, amount_of

MANY_NOTES = 10  # of one kind; more are counted, and stay in the runs' own records


def notes_of(done: Sequence[tuple[RunResult, pd.DataFrame]]) -> list[str]:
    """The runs' notes, each with its run and fold; the same note of many runs once, with their number."""
    where: dict[str, list[str]] = {}
    some = any(amount_of(row) for row, _ in done)
    kinds = "runs x folds x amounts" if some else "runs x folds"
    for row, _ in done:
        for note in row.notes or ():
            amount = amount_of(row)
            at = f", {amount_name(**amount)}" if amount else ""
            where.setdefault(note, []).append(f"run {row.run}, fold {row.fold}{at}")
    found = []
    for note, places in where.items():
        many = len(places) > MANY_NOTES
        found += [f"{p}: {note}" for p in ([f"{len(places)} of {len(done)} {kinds}"] if many else places)]
    return sorted(found)
