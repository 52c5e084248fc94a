"""`ser benchmark`: a published benchmark with everything fixed, its published numbers beside ours."""

from pathlib import Path
from typing import Any

import click

from ser import registry
from ser.commands._base import Command, Session
from ser.commands._training import options_of

LIST, FOLDER = "list", "ser.results.benchmarks"


@click.command("benchmark", cls=Command, epilog=f"Files of benchmarks: {', '.join(registry.names(FOLDER))}.")
@click.argument("name", metavar="NAME|list")
@click.option("--dataset", help="The table with the corpus.  [default: the one called as the corpus]")
@click.option("--audio", help="Audio stores, by encoder or store name.")
@click.option("--text", help="Text stores, by encoder or store name.")
@click.option("--runs", type=click.IntRange(min=1), help="Seeds.  [default: the benchmark's, 5 for most]")
@options_of("jobs", "backend", "address")
@click.option(
    "--dry-run", is_flag=True, help="Say what is missing, and what would be run; exit code 3 where something is."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "md", "latex", "html"]),
    default="text",
    show_default=True,
    help="json: a row for a leaderboard. md, latex and html are written beside the record.",
)
def command(
    session: Session,
    name: str,
    dataset: str | None,
    audio: str | None,
    text: str | None,
    runs: int | None,
    jobs: int | None,
    backend: str,
    address: str | None,
    dry_run: bool,
    form: str,
) -> None:
    """Fit as a published benchmark has it (corpus, folds, labels, head, metric), and show the published values beside ours.

    \b
    ser benchmark list
    ser benchmark emobox-ravdess --audio egemaps
    ser benchmark emobox-ravdess --audio egemaps --dry-run
    """
    from ser.jsonfile import dumps
    from ser.results.benchmarks import fit_command, preset, presets
    from ser.results.records.result import read_result
    from ser.results.report.benchmark import benchmark_section, leaderboard, list_of_benchmarks
    from ser.results.report.blocks import Report, Section
    from ser.results.report.formats.terminal import render
    from ser.train.experiments.benchmark import benchmark, missing

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
        given = fit_command(dataset or own.corpus, {**stores, **own.options, "runs": runs or own.runs})
        click.echo("\n".join([f"would run: {given}", *lacking]))
        if lacking:
            raise click.exceptions.Exit(3)
        return
    words = [
        f"ser benchmark {name}",
        *(f"--{k} {v}" for k, v in (("dataset", dataset), ("audio", audio), ("text", text)) if v),
    ]
    summary = benchmark(
        name,
        session.workspace,
        dataset=dataset,
        audio=audio,
        text=text,
        runs=runs,
        jobs=jobs,
        backend=backend,
        address=address,
        command=" ".join([*words, f"--runs {runs or own.runs}"]),
        quiet=session.quiet,
    )
    result = read_result(summary["experiment"], session.workspace.results)
    if form == "json":
        click.echo(dumps(leaderboard(name, own, result.record)))
        return
    report = Report(name, [benchmark_section(name, own, result.record)], [])
    if form == "text":
        click.echo(render(report))
        click.echo(f"record: {result.path}")
        return
    _write(session, report, Path(f"{result.path.with_suffix('')}.{name}"), form)


def _write(session: Session, report: Any, path: Path, form: str) -> None:
    """Write a report in a format, under the ending of the format."""
    plugin = registry.load("ser.results.report.formats", form)
    file = Path(f"{path}{plugin.ENDING}")
    plugin.write(report, file)
    session.say(f"written: {file}")
