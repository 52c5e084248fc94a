"""`ser export`: models to hand on, as a folder or as ONNX."""

from pathlib import Path

import click

from ser.commands._base import Command, Group, Session
from ser.commands._types import FILE, Folder, Pairs


@click.group("export", cls=Group)
def command() -> None:
    """Write a model to share: a folder with its model card, or ONNX."""


@command.command("folder", cls=Command)
@click.argument("model")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [default: the name of MODEL]"
)
@click.option(
    "--calibrate", is_flag=True, help="Calibrate probabilities by a temperature for each head, from its validation predictions."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing folder of this kind.")
def folder(session: Session, model: str, output: Path | None, calibrate: bool, overwrite: bool) -> None:
    """Write one folder with the heads of MODEL, config.json and a model card.

    MODEL is an experiment of ser fit --save, the unique beginning of its name, or the file of one head.

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


@command.command("onnx", cls=Command)
@click.argument("model")
@click.option("--output", type=FILE, help="File to write.  [default: the name of MODEL, .onnx]")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--features", is_flag=True, help="Start from features, even if the encoder can be part of the graph.")
@click.option(
    "--clip",
    "clips",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A recording to check the graph on. May be repeated.  [default: some of the corpus, otherwise noise]",
)
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--encoders", type=Pairs(), help="STORE=NAME, or a folder, for an encoder whose weights have moved.")
def onnx(
    session: Session,
    model: str,
    output: Path | None,
    overwrite: bool,
    features: bool,
    clips: tuple[Path, ...],
    weights: Path | None,
    encoders: dict[str, str] | None,
) -> None:
    """Write a model as ONNX: from the waveform to probabilities, or from features if the encoder cannot be exported.

    MODEL is an experiment of ser fit --save, the file of one head, or a folder written by ser export folder. The graph is
    written only if the answers of onnxruntime are within 0.0001 of those of PyTorch.

    \b
    ser export onnx fit-mine --output mine.onnx
    ser predict new.wav --model mine.onnx
    """
    from ser.export.onnx import clips_of, export_onnx
    from ser.predict.onnx_head import WAVEFORM
    from ser.results.records.find import find_heads
    from ser.train.checkpoint import load_head
    from ser.train.model_folder import heads_and_temperatures

    heads = find_heads(model, session.workspace.results)
    output = output or Path(Path(model).name.removesuffix(".json").removesuffix(".safetensors") + ".onnx")
    heard = clips or clips_of(load_head(heads_and_temperatures(heads)[0][0]), session.workspace) or ()
    done = export_onnx(
        heads, output, clips=heard, weights=weights, encoders=encoders, features=features, overwrite=overwrite, say=session.warn
    )
    if done.reads != WAVEFORM:
        session.warn(f"the graph begins with features: {done.why}")
    session.say(f"written: {done.path}, from {done.reads} to the answer")
    if done.features:
        names = " and ".join(done.features)
        session.say(f"in it: the heads, not the encoder; whoever runs it gives it the features {names}, as ser predict does")
    if done.whole:
        session.say(f"for a graph from the waveform: {done.whole}")
    session.say(f"largest difference from PyTorch, on {done.heard}: {done.difference:.1e}")
