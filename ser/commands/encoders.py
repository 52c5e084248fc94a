"""`ser encoders`: the models and functions that turn audio and text into features."""

import click

from ser.commands._base import Command, Session


@click.command("encoders", cls=Command)
@click.argument("name", required=False)
def command(session: Session, name: str | None) -> None:
    """List the encoders; with a NAME: its paper, training data, licence and how to download it.

    Besides the names listed, `--audio` and `--text` take hub ids (`organisation/model`, also `...@revision`) and local
    folders of the same kinds of model, and `--text wordpiece:NAME` a published tokenizer's word pieces.
    """
    from ser.extract.catalogue import description, listing

    for line in description(name) if name else listing():
        click.echo(line)
