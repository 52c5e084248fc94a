"""`ser push`: a model to the Hugging Face Hub."""

import click

from ser.commands._base import Command, Session


@click.command("push", cls=Command)
@click.argument("model")
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make the repository private.")
@click.option("--accept-licences", "accept", is_flag=True, help="Confirm that the licences of corpora and encoders allow it.")
@click.option("--endpoint", help="Address of the server.  [default: HF_ENDPOINT, or the hub]")
def command(session: Session, model: str, repo: str, private: bool, accept: bool, endpoint: str | None) -> None:
    """Send MODEL to the Hugging Face Hub as OWNER/NAME, with its model card.

    MODEL is a folder written by ser export folder, an experiment of ser fit --save, or the file of one head. The token comes
    from HF_TOKEN or `hf auth login`. Restrictions of licences are printed first.

    \b
    ser push my-model me/emotions --private
    """
    from ser.export.hub import push

    where = push(model, repo, session.workspace, private=private, accept=accept, endpoint=endpoint, say=session.warn)
    session.say(f"pushed: {where}")
