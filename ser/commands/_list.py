"""`ser results list`: one line for each record of the workspace."""

from datetime import datetime
from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._types import Whole
from ser.results.headlines import EXPERIMENT, STUDY
from ser.results.listing import SORTS


@click.command("list", cls=Command)
@click.option("--dataset", help="Only results on this dataset, as source or target.")
@click.option("--head", help="Only results of this head.")
@click.option("--command", "made_by", help="Only results of this command: fit, adapt, ...")
@click.option("--protocol", help="Only results under this protocol.")
@click.option("--scheme", help="Only results of this label scheme.")
@click.option("--features", help="Only results of this store, or of this encoder.")
@click.option("--kind", type=click.Choice([EXPERIMENT, STUDY]), help="Only experiments, or only studies of several.")
@click.option("--since", type=click.DateTime(), help="Only results of this day (UTC) or later.")
@click.option("--stamps/--no-stamps", default=None, help="Only results with stamps, or without.")
@click.option(
    "--sort", type=click.Choice(SORTS, case_sensitive=False), default="started", show_default=True, help="Highest last."
)
@click.option("--limit", type=Whole(min=1), help="Only the last ones: the newest, or the best.")
@click.option("--json", "form", flag_value="json", help="As a JSON list, all columns.")
@click.option("--csv", "form", flag_value="csv", help="As CSV, all columns.")
def command(
    session: Session,
    made_by: str | None,
    since: datetime | None,
    sort: str,
    limit: int | None,
    form: str | None,
    **filters: Any,
) -> None:
    """List all results: experiment, dataset, features, head, protocol, runs, UA, WA, validation, date, stamps; newest last.

    \b
    ser results list --dataset ravdess --head mlp --sort validation --limit 10
    """
    from ser.jsonfile import dumps
    from ser.results import listing
    from ser.results.report.formats import terminal
    from ser.results.report.results_list import list_csv, list_table

    folder = session.workspace.results
    every, damaged = listing.list_results(folder, session.quiet)
    asked = {**filters, "command": made_by, "since": since.isoformat() if since else None}
    found = listing.ordered(listing.select(every, **asked), sort, limit)
    if form == "json":
        click.echo(dumps([line.facts() for line in found]))
    elif form == "csv":
        click.echo(list_csv(found), nl=False)
    elif found:
        click.echo(terminal.table(list_table(found), terminal.window()))
    else:
        session.warn(f"No such results in {folder}." if every else f"No results in {folder}.")
    for line in damaged:
        click.echo(line, err=True)
    if damaged:
        raise click.exceptions.Exit(3)
