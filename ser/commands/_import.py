"""`ser results import`: predictions that were made elsewhere."""

from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import record_options
from ser.commands._types import Items


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, help="Dataset whose table has the utterances.")
@record_options("system")
@click.option("--name", help="Of the system, in place of a head's.  [default: the file's name]")
@click.option(
    "--system", default="", metavar="TEXT", help="What it is; a model of ser encoders is stamped by what it has seen."
)
@click.option(
    "--missing",
    default="error",
    show_default=True,
    metavar="error|drop|CLASS",
    help="Test utterances without a prediction: an error; left out (stamped); or they count as CLASS (stamped).",
)
@click.option(
    "--id", "id_column", metavar="COLUMN", help="Column of utterance ids.  [default: utterance_id, id, key, ...]"
)
@click.option(
    "--label", metavar="COLUMN", help="Column of predicted labels.  [default: predicted, label, emotion, ...]"
)
@click.option("--probabilities", type=Items(), help="Columns of probabilities, one for each label.  [default: p_LABEL]")
def command(session: Session, file: Path, dataset: str, labels: tuple[str, ...], **options: Any) -> None:
    """Import predictions of any other system: the same record as of a head, to be shown, compared, reported and verified.

    FILE is CSV or JSON lines: an utterance id and either a label or a probability for each label; columns run, fold and split
    are optional.

    \b
    ser results import answers.csv --dataset meld --scheme 7 --name llm --system "an LLM, zero-shot"
    ser results import emotions.jsonl --dataset ravdess --scheme native --map calmness=calm --map unknown=
    """
    from ser.commands._configuration import recorded_command
    from ser.commands._training import fold_options, report
    from ser.evaluation.systems.importing import import_predictions
    from ser.evaluation.systems.label_map import read_map

    rule = fold_options(options)
    result, remarks = import_predictions(
        file, dataset, session.workspace, folds=rule, labels=read_map(labels), command=recorded_command(), **options
    )
    for remark in remarks:
        session.warn(remark)
    report(session, result)
