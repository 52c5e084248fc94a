"""`ser results`: the records as tables and pictures."""

from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Group, Session

METRICS = click.Choice(["UA", "WA", "WF1", "Macro_F1"], case_sensitive=False)


@click.group("results", cls=Group)
def command() -> None:
    """List, show and plot results."""


@command.command("list", cls=Command)
@click.option("--dataset", help="Only results on this dataset, as source or target.")
@click.option("--head", help="Only results of this head.")
@click.option("--sort", type=METRICS, help="Order by a metric, best last.  [default: by date, newest last]")
def list_results(session: Session, dataset: str | None, head: str | None, sort: str | None) -> None:
    """List all results: experiment, dataset, features, head, protocol, runs, UA, WA, date, stamps; newest last."""
    from ser.results.find import list_summaries
    from ser.results.tables import table

    folder = session.workspace.results
    found, damaged = list_summaries(folder)
    if dataset is not None:
        found = [line for line in found if dataset in line.dataset.replace("->", " ").replace("+", " ").split()]
    if head is not None:
        found = [line for line in found if line.head == head]
    if sort is not None:
        found.sort(key=lambda line: line.scores[sort])
    if found:
        click.echo(table(found))
    else:
        session.warn(f"No results in {folder}." if dataset is head is None else f"No such results in {folder}.")
    for line in damaged:
        click.echo(line, err=True)
    if damaged:
        raise click.exceptions.Exit(3)


@command.command("show", cls=Command)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def show(session: Session, name: str, form: str) -> None:
    """Show one result: an experiment, or a study made of several: an ablation, a search, a transfer, a matrix.

    NAME is an experiment, a beginning of its name that no other has, or a JSON file.
    """
    from ser.results import matrices
    from ser.results.find import find_summary, read_any
    from ser.results.names import MATRIX_SCHEMA
    from ser.results.schema import dumps
    from ser.results.show import any_text
    from ser.results.tables import as_csv

    path = find_summary(name, session.workspace.results)
    result = read_any(path)
    if form == "json":
        click.echo(dumps(result))
    elif form == "csv" and result["schema"] == MATRIX_SCHEMA:
        click.echo(matrices.as_csv(result), nl=False)
    elif form == "csv":
        click.echo(as_csv(_read(session, name)[1]), nl=False)
    else:
        click.echo(any_text(result, path))


@command.command("plot", cls=Command)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["confusion", "curve", "fewshot", "matrix"]),
    help="confusion matrix, learning curves, score over target data, or transfer matrix.  [default: what it is, or "
    "confusion]",
)
@click.option("--metric", type=METRICS, default="UA", show_default=True, help="Of a few-shot or matrix plot.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File ending in .png, .svg or .pdf.  [default: NAME.KIND.png beside the result]",
)
def plot(session: Session, name: str, kind: str | None, metric: str, output: Path | None) -> None:
    """Plot one result into a file; NAME as for `show`."""
    from ser.results import curves, heatmap, plots
    from ser.results.find import find_summary, read_any, read_summary
    from ser.results.names import FEWSHOT_SCHEMA, MATRIX_SCHEMA

    path = find_summary(name, session.workspace.results)
    summary = read_any(path)
    study = summary["schema"] == FEWSHOT_SCHEMA
    matrix = summary["schema"] == MATRIX_SCHEMA
    if not (study or matrix) or kind in ("confusion", "curve"):
        summary = read_summary(path)  # says what it is instead
    kind = kind or ("matrix" if matrix else "fewshot" if study or "percentages" in summary else "confusion")
    output = output or path.with_name(f"{path.name.removesuffix('.json')}.{kind}.png")
    if kind == "matrix":
        figure = heatmap.matrix(summary, metric)
    elif kind == "curve":
        figure = plots.learning_curves(summary, path)
    elif kind == "fewshot":
        figure = curves.fewshot_curve(summary, metric)
    else:
        figure = plots.confusion_matrix(summary)
    plots.save(figure, output)
    session.say(f"Written: {output}")


def _read(session: Session, name: str) -> tuple[Path, dict[str, Any]]:
    from ser.results.find import find_summary, read_summary

    path = find_summary(name, session.workspace.results)
    return path, read_summary(path)
