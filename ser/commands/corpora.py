"""`ser corpora`: the known corpora, and the folders that each expects."""

import click

from ser.commands._base import Command, Session


@click.command("corpora", cls=Command)
@click.argument("name", required=False)
def command(session: Session, name: str | None) -> None:
    """List the corpora; with NAME, show its expected folders, citation and licence."""
    from ser.metadata.corpus import description, listing

    for line in description(name) if name else listing():
        click.echo(line)
