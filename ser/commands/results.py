"""`ser results`: the records as tables and pictures."""

from pathlib import Path
from typing import Any

import click

from ser.commands import _compare, _list, _plot, _report, _verify
from ser.commands._base import Command, Group, Session


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, report and plot results, and recompute them."""


for _part in (_list, _compare, _report, _plot, _verify):
    command.add_command(_part.command)


@command.command("show", cls=Command)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def show(session: Session, name: str, form: str) -> None:
    """Show one result: an experiment, or a study made of several: an ablation, a search, a transfer, a matrix.

    NAME is an experiment, a beginning of its name that no other has, or a JSON file.
    """
    from ser.jsonfile import dumps
    from ser.results.records.find import find_summary, read_any
    from ser.results.records.names import MATRIX_SCHEMA
    from ser.results.report import matrices
    from ser.results.report.show import any_text
    from ser.results.report.tables import as_csv

    path = find_summary(name, session.workspace.results)
    result = read_any(path)
    if form == "json":
        click.echo(dumps(result))
    elif form == "csv" and result["schema"] == MATRIX_SCHEMA:
        click.echo(matrices.as_csv(result), nl=False)
    elif form == "csv":
        click.echo(as_csv(_read(session, name)[1]), nl=False)
    else:
        click.echo(any_text(result, path))


@command.command("schema", cls=Command)
@click.argument("kind", required=False)
def schema(session: Session, kind: str | None) -> None:
    """Print the JSON Schema of a kind of record; without KIND, the names of all kinds."""
    from ser import registry
    from ser.jsonfile import dumps, json_schema
    from ser.results.records.kinds import kinds

    if kind is None:
        click.echo("\n".join(kinds()))
    elif kind in kinds():
        click.echo(dumps(json_schema(kinds()[kind])))
    else:
        raise registry.unknown("kind of record", kind, list(kinds()))


def _read(session: Session, name: str) -> tuple[Path, dict[str, Any]]:
    from ser.results.records.find import find_summary, read_summary

    path = find_summary(name, session.workspace.results)
    return path, read_summary(path)
