"""`ser transcribe`: transcribe a corpus's audio by Whisper."""

from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._types import Folder, Items, Jobs, Whole


@click.command("transcribe", cls=Command)
@click.option("--dataset", "datasets", type=Items(), required=True, help="One dataset or several: emodb,ravdess.")
@click.option("--root", type=Folder(or_file=True), help="Corpus folder, which holds the audio.")
@click.option(
    "--model",
    default="whisper-small",
    show_default=True,
    help="Whisper model: short name (see ser encoders), hub id or folder.",
)
@click.option(
    "--language",
    default="table",
    show_default=True,
    help="en, de, ...: of all utterances; table: from the table, detected if it has none; detect: detected for each utterance.",
)
@click.option("--beams", type=Whole(min=1), default=1, show_default=True, help="Width of the beam search; 1 is greedy.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps; auto uses a GPU if there is one.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True)
@click.option("--jobs", type=Jobs(), help="Cores to use.  [default: all]")
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--revision", help="Commit of the model's hub repository.")
@click.option("--overwrite", is_flag=True, help="Transcribe all utterances again.")
def command(
    session: Session,
    datasets: list[str],
    root: Path | None,
    model: str,
    language: str,
    beams: int,
    jobs: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Transcribe a corpus with Whisper into metadata/NAME.asr-MODEL.jsonl, resuming where an earlier run stopped.

    `ser extract --text bert --text-source asr` then extracts features from the transcripts.
    """
    from ser.errors import ConfigError
    from ser.extract.options import EncoderOptions
    from ser.extract.transcription.transcribe import transcribe
    from ser.extract.transcription.transcriber import load_transcriber
    from ser.metadata.build import ensure_table
    from ser.workers.threads import cores

    if root is not None and len(datasets) > 1:
        raise ConfigError("--root is one corpus's folder", expected="one --dataset", found=", ".join(datasets))
    tables = [ensure_table(name, session.workspace, root, say=session.warn, quiet=session.quiet) for name in datasets]
    loaded = load_transcriber(model, EncoderOptions(**options, announce=session.warn), language, beams)
    failed = 0
    for table in tables:
        report = transcribe(
            table, loaded, session.workspace, jobs=jobs or cores(), quiet=session.quiet, overwrite=overwrite, say=session.warn
        )
        for line in report.lines():
            session.say(line)
        for note in report.notes():
            session.warn(note)
        failed += report.failed
    if failed:
        raise click.exceptions.Exit(3)
