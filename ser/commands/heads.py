"""`ser heads`: the architectures of heads, from the folder."""

import click

from ser.commands._base import Command, Session, plugin_list


@click.command("heads", cls=Command)
def command(session: Session) -> None:
    """List the heads, each with a short description. Any scikit-learn classifier is a head too, such as sklearn:SVC."""
    from ser.train.classical.classifier import PREFIX, SUMMARY

    click.echo(plugin_list("ser.train.heads"))
    click.echo(f"{PREFIX + 'CLASS':<17}  {SUMMARY}")
