"""`ser benchmark`: a published benchmark with everything fixed, its published numbers beside ours."""

from pathlib import Path
from typing import Any

import click

from ser import registry
from ser.commands._base import Command, Session
from ser.commands._training import options_of
from ser.commands._types import Whole
from ser.errors import ConfigError

LIST, EXPORT, FOLDER = "list", "export", "ser.results.benchmarks"


@click.command("benchmark", cls=Command, epilog=f"Files of benchmarks: {', '.join(registry.names(FOLDER))}.")
@click.argument("names", nargs=-1, required=True, metavar="NAME|list|export NAME...")
@click.option("--dataset", help="Table of the corpus.  [default: the one with the corpus's name]")
@click.option("--audio", help="Audio stores, by encoder or store name.")
@click.option("--text", help="Text stores, by encoder or store name.")
@click.option("--runs", type=Whole(min=1), help="Number of seeds.  [default: the benchmark's, 5 for most]")
@options_of("device", "jobs", "backend", "address", "shard")
@click.option("--dry-run", is_flag=True, help="Show what would be run and what is missing; exit code 3 if anything is.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "md", "latex", "html"]),
    default="text",
    show_default=True,
    help="json: a row for a leaderboard. md, latex and html are written next to the record. csv is only for export, which "
    "prints it, json and md.",
)
def command(
    session: Session,
    names: tuple[str, ...],
    dataset: str | None,
    audio: str | None,
    text: str | None,
    runs: int | None,
    dry_run: bool,
    form: str,
    **work: Any,
) -> None:
    """Run a published benchmark (its corpus, folds, labels, head, metric), and show the published values next to ours.

    \b
    ser benchmark list
    ser benchmark emobox-ravdess --audio egemaps
    ser benchmark emobox-ravdess --audio egemaps --dry-run
    ser benchmark export emobox-ravdess --format csv
    """
    from ser.jsonfile import dumps
    from ser.results.benchmarks import fit_command, preset, presets
    from ser.results.blocks import Report, Section
    from ser.results.report.benchmark import benchmark_section, leaderboard, list_of_benchmarks
    from ser.results.report.formats.terminal import render
    from ser.results.result import Result
    from ser.train.experiments.benchmark import benchmark, fold_file, missing

    name, *others = names
    if name == EXPORT:
        click.echo(_exported(session, others, form))
        return
    if others:
        raise ConfigError(f"ser benchmark {' '.join(names)}: one benchmark at a time", action="Only export takes several.")
    if form == "csv":
        raise ConfigError("--format csv is of ser benchmark export", expected="text, json, md, latex or html")
    if name == LIST:
        report = Report("Benchmarks", [Section("What there is", [list_of_benchmarks(presets())])], [])
        if form in ("text", "json"):
            click.echo(render(report))
        else:
            _write(session, report, session.workspace.results / "benchmarks", form)
        return
    own = preset(name)
    if dry_run:
        lacking = missing(own, session.workspace, dataset, audio, text)
        stores = {name: value for name, value in (("audio", audio), ("text", text)) if value}
        folds = {"fold_file": fold_file(name, own, session.workspace, dataset)}
        given = fit_command(dataset or own.corpus, {**stores, **own.options, **folds, "runs": runs or own.runs})
        click.echo("\n".join([f"would run: {given}", *lacking]))
        if lacking:
            raise click.exceptions.Exit(3)
        return
    words = [f"ser benchmark {name}", *(f"--{k} {v}" for k, v in (("dataset", dataset), ("audio", audio), ("text", text)) if v)]
    summary = benchmark(
        name,
        session.workspace,
        dataset=dataset,
        audio=audio,
        text=text,
        runs=runs,
        **work,
        command=" ".join([*words, f"--runs {runs or own.runs}"]),
        quiet=session.quiet,
    )
    result = Result.find(summary["experiment"], session.workspace.results)
    if form == "json":
        click.echo(dumps(leaderboard(name, own, result.record)))
        return
    report = Report(name, [benchmark_section(name, own, result.record)], [])
    if form == "text":
        click.echo(render(report))
        click.echo(f"record: {result.path}")
        return
    _write(session, report, Path(f"{result.path.with_suffix('')}.{name}"), form)


def _exported(session: Session, names: list[str], form: str) -> str:
    """Rows for leaderboards, of the finished results of benchmarks: a text in a format."""
    from ser.jsonfile import dumps
    from ser.results.benchmarks import preset
    from ser.results.blocks import Report, Section
    from ser.results.cells import csv_text
    from ser.results.report.benchmark import export_table, exported
    from ser.results.report.formats.md import table_lines
    from ser.results.report.formats.terminal import render

    if not names:
        raise ConfigError("ser benchmark export: no benchmark", expected="the names of some: ser benchmark list")
    if form in ("latex", "html"):
        raise ConfigError(f"--format {form} is not of ser benchmark export", expected="text, json, csv or md")
    of = {name: preset(name) for name in names}
    rows = exported(of, session.workspace.results)
    if form == "json":
        return dumps(rows)
    table = export_table(rows, of)
    if form == "csv":
        return csv_text(table.head, table.rows).rstrip("\n")
    if form == "md":
        return "\n".join(table_lines(table))
    report = Report("Finished results", [Section("For leaderboards", [table])], [])
    return render(report).strip()


def _write(session: Session, report: Any, path: Path, form: str) -> None:
    """Write a report in a format, under the ending of the format."""
    plugin = registry.load("ser.results.report.formats", form)
    file = Path(f"{path}{plugin.ENDING}")
    plugin.write(report, file)
    session.say(f"written: {file}")
