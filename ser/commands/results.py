"""`ser results`: the records as tables and pictures."""

from pathlib import Path
from typing import Any

import click

from ser.commands import _plot, _report
from ser.commands._base import Command, Group, Session

METRICS = click.Choice(["UA", "WA", "WF1", "Macro_F1"], case_sensitive=False)


@click.group("results", cls=Group)
def command() -> None:
    """List, show, plot and report results."""


command.add_command(_plot.command)
command.add_command(_report.command)


@command.command("list", cls=Command)
@click.option("--dataset", help="Only results on this dataset, as source or target.")
@click.option("--head", help="Only results of this head.")
@click.option("--sort", type=METRICS, help="Order by a metric, best last.  [default: by date, newest last]")
def list_results(session: Session, dataset: str | None, head: str | None, sort: str | None) -> None:
    """List all results: experiment, dataset, features, head, protocol, runs, UA, WA, date, stamps; newest last."""
    from ser.results.find import list_summaries
    from ser.results.tables import table

    folder = session.workspace.results
    found, damaged = list_summaries(folder)
    if dataset is not None:
        found = [line for line in found if dataset in line.dataset.replace("->", " ").replace("+", " ").split()]
    if head is not None:
        found = [line for line in found if line.head == head]
    if sort is not None:
        found.sort(key=lambda line: line.scores[sort])
    if found:
        click.echo(table(found))
    else:
        session.warn(f"No results in {folder}." if dataset is head is None else f"No such results in {folder}.")
    for line in damaged:
        click.echo(line, err=True)
    if damaged:
        raise click.exceptions.Exit(3)


@command.command("show", cls=Command)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def show(session: Session, name: str, form: str) -> None:
    """Show one result: an experiment, or a study made of several: an ablation, a search, a transfer, a matrix.

    NAME is an experiment, a beginning of its name that no other has, or a JSON file.
    """
    from ser.results import matrices
    from ser.results.find import find_summary, read_any
    from ser.results.names import MATRIX_SCHEMA
    from ser.results.schema import dumps
    from ser.results.show import any_text
    from ser.results.tables import as_csv

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


def _read(session: Session, name: str) -> tuple[Path, dict[str, Any]]:
    from ser.results.find import find_summary, read_summary

    path = find_summary(name, session.workspace.results)
    return path, read_summary(path)
