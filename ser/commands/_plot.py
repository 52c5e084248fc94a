"""`ser results plot`: pictures of a result, for a paper or a talk."""

from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._compare import METRIC
from ser.commands._types import Items
from ser.registry import names


@click.command("plot", cls=Command)
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=Items(),
    help=f"One or several of {', '.join(names('ser.results.plotting.pictures'))}, or all that fit.  "
    "[default: the first that fits]",
)
@click.option("--metric", type=METRIC, default="UA", show_default=True, help="For pictures that show one metric.")
@click.option(
    "--format",
    "formats",
    type=Items(),
    help="One or several of png, svg, pdf: text stays text.  [default: png]",
)
@click.option(
    "--title/--no-title", default=True, help="Experiment, dataset, n and the meaning of intervals, above the picture."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A folder, or for one picture a file ending in .png, .svg or .pdf.  [default: beside the result]",
)
def command(session: Session, name: str, **options: Any) -> None:
    """Plot one result into NAME.KIND.png; NAME as for `show`. People who are colour-blind can tell the colours apart.

    \b
    ser results plot NAME --kind confusion,classes --format pdf,svg --output figures
    ser results plot NAME --kind all
    """
    from ser.results.plotting.gallery import plot_into
    from ser.results.result import Result

    result = Result.find(name, session.workspace.results)
    for path in plot_into(result, **options):
        session.say(f"Written: {path}")
