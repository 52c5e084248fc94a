"""`ser audit`: find faults of a dataset that would make its numbers mislead, before anything is trained."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import PROTOCOL, fold_options, options_of
from ser.commands._types import FILE, Folder, Jobs, Number


@click.command("audit", cls=Command)
@click.option("--dataset", required=True, metavar="NAME", help="A table of the workspace; with --root, it is made first.")
@click.option("--root", type=Folder(or_file=True), metavar="DIR", help="Corpus folder, which holds the audio.")
@options_of(*PROTOCOL)
@click.option(
    "--scheme", default="native", show_default=True, help="Label scheme, which selects the rows and classes that are used."
)
@click.option(
    "--longest",
    type=Number(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Report utterances longer than this many seconds.",
)
@click.option("--no-audio", is_flag=True, help="Check only the table and the folds.")
@click.option("--jobs", type=Jobs(), help="Worker processes.  [default: one per core]")
@click.option("--write-folds", type=FILE, metavar="FILE", help="Also write the folds, as CSV.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(session: Session, dataset: str, form: str, **options: Any) -> None:
    """Find groups shared by parts of folds, copies, unusable audio, missing classes; exit code 3 on errors and warnings.

    \b
    ser audit --dataset ravdess --root DIR
    ser audit --dataset emodb --protocol emobox --fold-file emodb_folds.csv
    ser audit --dataset mine --protocol speaker --folds 5 --stratified --write-folds folds.csv
    """
    from ser.audit.audit import audit_dataset
    from ser.jsonfile import dumps
    from ser.results.report.compose import text_of

    chosen = fold_options(options)
    record, path = audit_dataset(
        dataset,
        session.workspace,
        options=chosen,
        audio=not options.pop("no_audio"),
        quiet=session.quiet,
        say=session.warn,
        **options,
    )
    if form == "json":
        click.echo(dumps(record))
    else:
        session.say(text_of(record, path))
        session.say(f"\nwritten: {path}")
    if record.counts.error or record.counts.warning:
        raise click.exceptions.Exit(3)
