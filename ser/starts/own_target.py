"""own_target: a target of one's own, as a column of ratings that a command adds to a table.

Heads learn it, and records, reports, pictures and `ser results verify` know it, as ratings that came with the corpus.
"""

from typing import Any

import click

from ser.commands._base import Command, Session

NAME = "own_target"  # of the column: small letters, digits and _
LOW, HIGH = 1.0, 5.0  # the ends of its scale
EXCITED = {"anger": 5.0, "fear": 4.0, "happiness": 4.0, "disgust": 3.0, "neutral": 2.0, "sadness": 1.0}


def value(row: dict[str, Any]) -> float | None:
    """The value of an utterance, from the other columns of its row (docs/formats.md names them); None: it has none."""
    return EXCITED.get(row["emotion"])


@click.command(NAME, cls=Command)
@click.option("--dataset", required=True, help="The table that gets the column.")
def command(session: Session, dataset: str) -> None:
    """Add the column to a table of the workspace, or write it again."""
    from ser.errors import CorpusError
    from ser.metadata.schema import is_dimension, outside_scales
    from ser.metadata.table import load_table, table_of_columns, write_table

    if not is_dimension(NAME):
        raise CorpusError(f"{NAME} cannot be a column of ratings", expected="small letters, digits and _")
    table = load_table(dataset, session.workspace)
    rows: list[Any] = table.frame.to_dict("records")
    cells: dict[str, list[Any]] = {name: list(table.frame[name]) for name in table.columns}
    cells[NAME] = [value(row) for row in rows]
    facts = table.facts | {"dimensions": {**table.dimensions, NAME: {"low": LOW, "high": HIGH}}}
    made = table_of_columns(cells, len(table.frame), dataset, facts)
    outside_scales(made.frame, made.facts, stated=(NAME,))
    path = write_table(made, session.workspace)
    session.say(f"{path}: {int(made.frame[NAME].notna().sum())} of {len(made.frame)} utterances have {NAME}")
