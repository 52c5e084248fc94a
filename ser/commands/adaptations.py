"""`ser adaptations`: the methods of domain adaptation, from the folder."""

import click

from ser.commands._base import Command, Session, plugin_list


@click.command("adaptations", cls=Command)
def command(session: Session) -> None:
    """List the methods of domain adaptation, each with a short description."""
    click.echo(plugin_list("ser.train.adapt"))
