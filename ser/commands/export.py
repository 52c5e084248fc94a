"""`ser export`: models to hand on, as a folder or as ONNX."""

from pathlib import Path

import click

from ser.commands._base import Command, Group, Session


@click.group("export", cls=Group)
def command() -> None:
    """Write a model to hand on: a folder with its card, or ONNX."""


@command.command("folder", cls=Command)
@click.argument("model")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="The folder.  [default: the name of MODEL]"
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Calibrate probabilities: a temperature for each head, by its validation predictions.",
)
@click.option("--overwrite", is_flag=True, help="Write over such a folder that is there.")
def folder(session: Session, model: str, output: Path | None, calibrate: bool, overwrite: bool) -> None:
    """Write one folder with the heads of MODEL, config.json and a model card.

    MODEL is an experiment of ser fit --save, a beginning of its name that no other has, or the file of one head.

    \b
    ser export folder fit-mine --output my-model
    ser predict new.wav --model my-model
    """
    from ser.export.folder import export_folder
    from ser.export.origins import limits

    output = output or Path(Path(model).name.removesuffix(".json").removesuffix(".safetensors"))
    done = export_folder(model, session.workspace, output, calibrate=calibrate, overwrite=overwrite)
    for note in done.notes:
        session.warn(note)
    for origin in done.origins:
        for limit in limits(origin.licence):
            session.warn(f"{origin.kind} {origin.name} ({origin.licence}): {limit.says}")
    heads = len(done.config.heads)
    session.say(f"written: {done.path} ({heads} {'head' if heads == 1 else 'heads'}, config.json, README.md)")
