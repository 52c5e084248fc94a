"""`ser cite`: BibTeX of all that a result rests on."""

import click

from ser.commands._base import Command, Session


@click.command("cite", cls=Command)
@click.argument("name")
def command(session: Session, name: str) -> None:
    """Print BibTeX of ser, and of the corpora, encoders and methods of a result.

    NAME is an experiment or a study, a beginning of its name that no other has, or a JSON file.
    """
    from ser.export.citations import bibtex
    from ser.export.origins import origins_of
    from ser.jsonfile import plain
    from ser.results.records.result import read_result

    result = read_result(name, session.workspace.results)
    click.echo(bibtex(origins_of(plain(result.record))), nl=False)
