"""`ser predict`: emotions of new audio."""

from pathlib import Path

import click

from ser.commands._base import Command, Session
from ser.commands._types import Folder, Items


@click.command("predict", cls=Command)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--model",
    required=True,
    metavar="NAME|FILE",
    help="A saved head's file, or an experiment of ser fit --save, by the beginning of its name: its first head.",
)
@click.option(
    "--texts", type=click.Path(dir_okay=False, path_type=Path), help="The words that are said: one line for each file."
)
@click.option(
    "--list",
    "table",
    type=click.Path(dir_okay=False, path_type=Path),
    help="In place of FILES: a CSV with the columns file, text or both, and speaker, dialogue, turn as far as they are known.",
)
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@click.option("--weights", type=Folder(), help="Folder of models, used before cache and network.")
@click.option("--encoders", type=Items(), help="STORE=NAME or folder, where an encoder's weights have moved.")
@click.option("--device", default="cpu", show_default=True)
def command(
    session: Session,
    files: tuple[Path, ...],
    model: str,
    texts: Path | None,
    table: Path | None,
    form: str,
    weights: Path | None,
    encoders: list[str] | None,
    device: str,
) -> None:
    """Predict the emotions of audio files (or folders of them), as a table, CSV or JSON lines.

    Exit code 3 where a file cannot be used: its row has the reason. A head that was trained on dialogues takes the files as
    one dialogue, in the order given, and each folder as one.

    \b
    ser predict new/*.wav --model fit-mine
    ser predict --list turns.csv --model results/EXPERIMENT/run-000.fold-official.safetensors
    """
    from ser.predict.inputs import inputs_of_command
    from ser.predict.predictions import as_text
    from ser.predict.predictor import Predictor
    from ser.results.records.find import find_head

    moved = dict(pair.partition("=")[::2] for pair in encoders or [])
    file = find_head(model, session.workspace.results)
    if file != Path(model):
        session.warn(f"the head is {file}")
    predictor = Predictor(file, weights=weights, device=device, encoders=moved, say=session.warn)
    found = predictor.answer(inputs_of_command(files, texts, table, predictor.reads_dialogues))
    click.echo(as_text(found, form))
    if (found["error"] != "").any():
        raise click.exceptions.Exit(3)
