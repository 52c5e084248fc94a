"""`ser evaluate`: evaluate trained heads on their own corpus or another."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._configuration import recorded_command
from ser.commands._types import FILE, Items, Jobs, Number, Whole
from ser.results.metrics.suite import LIMITS
from ser.workers.engine import BACKENDS, LOCAL


@click.command("evaluate", cls=Command)
@click.option(
    "--model",
    required=True,
    metavar="NAME|FILE",
    help="An experiment, by name or file, with all its runs and folds; or the file of one saved head.",
)
@click.option("--dataset", help="Corpus with features.  [default: the one that the model was tested on]")
@click.option("--scheme", help="Label scheme of another corpus.  [default: the record's]")
@click.option("--calibrate", is_flag=True, help="Also scale by a temperature fitted to each fold's validation predictions.")
@click.option(
    "--conformal",
    type=Number(min=0, max=1, min_open=True, max_open=True),
    metavar="COVERAGE",
    help="Also give sets of classes that should contain the true one this often, such as 0.9, from each fold's validation "
    "predictions; for dimensions, intervals; for several labels, yes, no or both for each.",
)
@click.option("--tta", is_flag=True, help="Also evaluate the mean over the stored views: ser extract --views tta.")
@click.option(
    "--suite",
    is_flag=True,
    help="Also check robustness (stored views of the test audio: ser extract --views suite), gaps between groups and speakers "
    "against limits, and write the page.",
)
@click.option("--views", type=Items(), help="With --suite: other conditions, such as noise5,gain-20.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="With --suite: the largest difference in UA (CCC for dimensions, macro F1 for labels) that passes, for robustness, "
    "a condition, gender, language, corpus or speaker. "
    f"May be repeated.  [default: {', '.join(f'{name} {limit:g}' for name, limit in LIMITS.items())}; for groups 0.15 in CCC]",
)
@click.option(
    "--novelty",
    multiple=True,
    metavar="emotion:NAME|DATASET",
    help="Also measure how well scores separate an emotion left out of training, or another corpus, from known emotions. "
    "May be repeated.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Also explain the heads by class activation, attention, encoder layers and modalities, as PNG and NPZ.",
)
@click.option(
    "--examples",
    type=Whole(min=1),
    default=1,
    show_default=True,
    help="With --explain: recognised utterances, and missed ones, to show for each class.",
)
@click.option("--amount", metavar="SIZE", help='For a few-shot record: "10%" or "5 shots".  [default: the largest]')
@click.option("--output", type=FILE, help="File of the record.  [default: next to the summary]")
@click.option("--device", default="cpu", show_default=True, help="As for ser fit.")
@click.option(
    "--memory",
    type=Number(min=0),
    metavar="GIB",
    help="Memory for the features of a corpus; larger features stay on disk and are read as needed.  [default: as much as "
    "they need]",
)
@click.option("--jobs", type=Jobs(), help="Worker processes, or threads.  [default: one per core, if heads take seconds]")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=LOCAL,
    show_default=True,
    help="Workers that run the heads: loky, processes on this machine; threads of this process; dask or ray, workers of a "
    "cluster. See docs/cluster.md.",
)
@click.option("--address", help="Address of the cluster.  [default: that of DASK_SCHEDULER_ADDRESS or RAY_ADDRESS]")
def command(session: Session, model: str, novelty: tuple[str, ...], **options: Any) -> None:
    """Evaluate calibration, abstention, novelty, ensembles, votes, gaps, robustness; writes results/….evaluation-….json.

    On a corpus that the heads were trained on, the recorded test rows of each fold are evaluated. Another corpus is predicted
    by each saved head (ser fit --save).

    \b
    ser evaluate --model EXPERIMENT --calibrate
    ser evaluate --model results/EXPERIMENT/run-000.fold-00.safetensors --dataset other
    ser evaluate --model EXPERIMENT --novelty emotion:boredom --novelty noises
    ser evaluate --model EXPERIMENT --suite --limit gsm=0.1
    ser evaluate --model EXPERIMENT --explain
    """
    from ser.evaluation.evaluate import evaluate
    from ser.results.report.compose import text_of, write_report

    record, path = evaluate(model, session.workspace, novelty=novelty, command=recorded_command(), say=session.warn, **options)
    page = f"\npage: {write_report([str(path)], session.workspace.results)}" if options["suite"] else ""
    session.say(f"{text_of(record, path)}\n\nwritten: {path}{page}")
