"""`ser encoders`: the models and functions that turn audio and text into features."""

import click

from ser.commands._base import Command, Session


@click.command("encoders", cls=Command)
@click.argument("name", required=False)
def command(session: Session, name: str | None) -> None:
    """List the encoders; with NAME, show its paper, training data and licence, and how to download it.

    Besides these names, `--audio` and `--text` accept hub ids (`organisation/model`, also `...@revision`) and local folders
    of the same kinds of model. `--text wordpiece:NAME` uses the word pieces of a published tokenizer.
    """
    from ser.extract.catalogue import description, listing

    for line in description(name) if name else listing():
        click.echo(line)
