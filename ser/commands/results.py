"""`ser results`: records as tables, reports and pictures."""

import click

from ser.commands import _compare, _import, _list, _plot, _report, _verify
from ser.commands._base import Command, Group, Session


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, report and plot results, and recompute them."""


for _part in (_list, _import, _compare, _report, _plot, _verify):
    command.add_command(_part.command)


@command.command("show", cls=Command)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def show(session: Session, name: str, form: str) -> None:
    """Show one result: an experiment, or a study made of several: an ablation, a search, a transfer, a matrix.

    NAME is an experiment, a beginning of its name that no other has, or a JSON file.
    """
    from ser.jsonfile import dumps, read_object
    from ser.results.report.compose import text_of
    from ser.results.report.score_rows import scores_csv
    from ser.results.result import Result

    result = Result.find(name, session.workspace.results)
    if form == "json":
        click.echo(dumps(read_object(result.path, "result")))
    elif form == "csv":
        click.echo(scores_csv(result.record), nl=False)
    else:
        click.echo(text_of(result.record, result.path))


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
