"""`ser losses`: the loss functions, from the folder."""

import click

from ser.commands._base import Command, Session, overview


@click.command("losses", cls=Command)
def command(session: Session) -> None:
    """List the losses, each with a short description."""
    click.echo(overview("ser.train.losses"))
