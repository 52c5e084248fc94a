"""`ser losses`: the loss functions, from the folder."""

import click

from ser.commands._base import Command, Session, plugin_list


@click.command("losses", cls=Command)
def command(session: Session) -> None:
    """List the losses, each with a short description."""
    click.echo(plugin_list("ser.train.losses"))
