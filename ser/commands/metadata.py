"""`ser metadata`: make `metadata/NAME.csv` from a corpus folder, or from a table of one's own."""

from pathlib import Path

import click

from ser.commands._base import Command, Session
from ser.commands._types import Folder, Plugin


@click.command("metadata", cls=Command)
@click.option(
    "--dataset", required=True, metavar="NAME", help="Name of the table; the name of a known corpus selects its plugin."
)
@click.option(
    "--root",
    type=Folder(or_file=True),
    metavar="DIR",
    help="Corpus folder; with --from, the folder that the table's paths are relative to.",
)
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="FILE", help="Your own table file.")
@click.option(
    "--format", "plugin", type=Plugin("ser.metadata.corpora"), help="Plugin that reads it, if NAME is not the name of one."
)
@click.option(
    "--rating",
    "ratings",
    multiple=True,
    metavar="NAME:LOW:HIGH",
    help="A numeric column of your own table that heads may learn, and its scale, such as valence:1:7.",
)
@click.option(
    "--votes",
    metavar="KIND",
    help="Whose votes to use, if a corpus has several kinds: voice, face, audiovisual or all for cremad; evaluators, actors or "
    "all for iemocap.  [default: the first]",
)
def command(
    session: Session,
    dataset: str,
    root: Path | None,
    source: Path | None,
    plugin: str | None,
    ratings: tuple[str, ...],
    votes: str | None,
) -> None:
    """Parse a corpus into metadata/NAME.csv and its sidecar NAME.json.

    \b
    ser metadata --dataset cremad --root DIR
    ser metadata --dataset cremad --root DIR --votes audiovisual
    ser metadata --dataset mine --format folder --root DIR
    ser metadata --dataset mine --from FILE.csv
    ser metadata --dataset mine --from FILE.csv --root DIR
    ser metadata --dataset mine --from FILE.csv --rating engagement:1:5
    ser metadata --dataset emovo --from EmoBox/data/emovo/emovo.jsonl --format emobox
    """
    given = source or root
    if given is None:
        raise click.UsageError("Give the corpus folder with --root, or a table file with --from.")
    from ser.metadata.build import build, keep, replaced, summary_lines

    built = build(dataset, given, plugin, quiet=session.quiet, ratings=ratings, votes_of=votes, audio=root if source else None)
    lines = replaced(built, session.workspace)
    path = keep(built, session.workspace)
    for line in lines:
        session.warn(line)
    for line in summary_lines(built, path):
        session.say(line)
    if built.unusable:
        click.echo(built.unusable.line(built.table.root), err=True)
        raise click.exceptions.Exit(3)
