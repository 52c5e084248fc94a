"""`ser predict`: emotions of new audio."""

from pathlib import Path

import click

from ser.commands._base import Command, Items, Session


@click.command("predict", cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A head: ser fit --save.")
@click.option("--texts", type=click.Path(dir_okay=False, path_type=Path), help="What is said: one line a file.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of models, used before cache and network.")
@click.option("--encoders", type=Items(), help="STORE=NAME or folder, where an encoder's weights have moved.")
@click.option("--device", default="cpu", show_default=True)
def command(
    session: Session,
    files: tuple[Path, ...],
    model: Path,
    texts: Path | None,
    form: str,
    weights: Path | None,
    encoders: list[str] | None,
    device: str,
) -> None:
    """Emotions of audio files (or folders of them), as a table, CSV or JSON lines.

    \b
    ser predict recordings/*.wav --model results/EXPERIMENT/run-000.fold-official.safetensors
    """
    from ser.predict import Predictor, audio_files, rendered

    moved = dict(pair.partition("=")[::2] for pair in encoders or [])
    predictor = Predictor(model, weights=weights, device=device, encoders=moved, say=session.warn)
    lines = texts.read_text(encoding="utf-8").splitlines() if texts else None
    table = predictor.predict(audio_files(files), lines)
    click.echo(rendered(table, form))
    if (table["error"] != "").any():
        raise click.exceptions.Exit(3)
