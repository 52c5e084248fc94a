"""`ser pull`: a model from the Hugging Face Hub."""

from pathlib import Path

import click

from ser.commands._base import Command, Session


@click.command("pull", cls=Command)
@click.argument("repo")
@click.option("--revision", help="A branch, tag or commit.  [default: the newest]")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [default: the repository's name]"
)
@click.option("--overwrite", is_flag=True, help="Replace an existing folder of this kind.")
@click.option("--endpoint", help="Address of the server.  [default: HF_ENDPOINT, or the hub]")
def command(
    session: Session, repo: str, revision: str | None, output: Path | None, overwrite: bool, endpoint: str | None
) -> None:
    """Fetch a model sent by ser push, OWNER/NAME, and check it. No code in it is run.

    \b
    ser pull me/emotions
    ser predict new.wav --model emotions
    """
    from ser.export.hub import pull

    folder, commit = pull(
        repo, output or Path(repo.rpartition("/")[2]), revision=revision, endpoint=endpoint, overwrite=overwrite
    )
    heads = len(folder.config.heads)
    session.say(f"pulled: {folder.path}, commit {commit[:12]} ({heads} {'head' if heads == 1 else 'heads'})")
