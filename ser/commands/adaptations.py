"""`ser adaptations`: the methods of domain adaptation there are, from the folder."""

import click

from ser.commands._base import Command, Session, overview


@click.command("adaptations", cls=Command)
def command(session: Session) -> None:
    """List the methods of domain adaptation: name and what it is."""
    click.echo(overview("ser.train.adapt"))
