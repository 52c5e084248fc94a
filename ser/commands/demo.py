"""`ser demo`: the whole pipeline, offline, on corpora that it makes itself."""

import os

import click

from ser.commands._base import Command, Session
from ser.commands._types import Jobs, Whole


@click.command("demo", cls=Command)
@click.option("--runs", type=Whole(min=1), default=5, show_default=True, help="Number of seeds.")
@click.option("--jobs", type=Jobs(), help="Worker processes.  [default: one per core]")
def command(session: Session, runs: int, jobs: int | None) -> None:
    """Synthesise two small corpora, extract, fit 5 runs, learn from few labels; prints tables, writes JSON and pictures.

    It works offline and takes under a minute on two cores. All audio is synthetic, and labelled so everywhere.
    """
    from ser.demo import run

    run(session.workspace, runs=runs, jobs=jobs or os.cpu_count() or 1, quiet=session.quiet, say=session.say)
