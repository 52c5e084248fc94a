"""`ser classify`: a ready-made classifier on a corpus."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import record_options
from ser.commands._types import Folder, Jobs, Number


@click.command("classify", cls=Command)
@click.option("--dataset", required=True, help="Dataset whose audio is classified.")
@click.option("--root", type=Folder(or_file=True), help="Corpus folder, which holds the audio.")
@click.option(
    "--model",
    required=True,
    help="emotion2vec-plus-seed, -base or -large; or the hub id or folder of a transformers audio classifier.",
)
@record_options("classifier")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps; auto uses a GPU if there is one.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True)
@click.option("--batch-seconds", type=Number(min=0), help="emotion2vec: seconds of audio per batch; the answers are the same.")
@click.option("--jobs", type=Jobs(), help="Cores to use.  [default: all]")
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--revision", help="Commit of the model's hub repository.")
@click.option("--overwrite", is_flag=True, help="Classify all utterances again.")
def command(session: Session, labels: tuple[str, ...], **options: Any) -> None:
    """Classify a corpus with a ready-made classifier; the record is like a head's, stamped with what the model has seen.

    Its probabilities are kept in features/DATASET/MODEL.classes.h5, so another scheme, protocol or map needs no
    new answers.

    \b
    ser classify --dataset ravdess --model emotion2vec-plus-base --scheme native --map calmness=calm
    ser classify --dataset emodb --model superb/wav2vec2-base-superb-er --weights DIR
    """
    from ser.commands._configuration import recorded_command
    from ser.commands._training import fold_options, report
    from ser.evaluation.systems.classify import classify
    from ser.evaluation.systems.label_map import read_map

    result, made = classify(
        workspace=session.workspace,
        folds=fold_options(options),
        labels=read_map(labels),
        quiet=session.quiet,
        command=recorded_command(),
        say=session.warn,
        **options,
    )
    session.say(made.line() + "\n")
    for note in made.notes():
        session.warn(note)
    report(session, result)
    if made.failed:
        raise click.exceptions.Exit(3)
