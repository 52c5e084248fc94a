"""`ser losses`: the loss functions there are, from the folder."""

import click

from ser.commands._base import Command, Session, overview


@click.command("losses", cls=Command)
def command(session: Session) -> None:
    """List the losses: name and what it is."""
    click.echo(overview("ser.train.losses"))
