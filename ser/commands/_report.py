"""`ser results report`: a page, a document or tables of results."""

from pathlib import Path

import click

from ser.commands._base import Command, Session
from ser.commands._types import Plugin


@click.command("report", cls=Command)
@click.argument("results", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--format", "form", type=Plugin("ser.results.report.formats"), help="[default: by the ending of --output, or html]"
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file.  [default: NAME.report.html beside the result]",
)
def command(session: Session, results: tuple[str, ...], form: str | None, output: Path | None) -> None:
    """Write a report: scores with intervals, stamps, pictures, data and audit, configuration, how to reproduce.

    NAME as for `show`; several are put beside each other. The HTML page is one file that needs no network.

    \b
    ser results report NAME
    ser results report NAME OTHER --output both.html
    ser results report NAME --format latex
    """
    from ser.results.report.compose import write_report

    session.say(f"Written: {write_report(results, session.workspace.results, form, output)}")
