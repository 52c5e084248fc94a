"""`ser results`: records as tables, reports and pictures; compared, imported and recomputed."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ser import registry
from ser.commands._base import Command, Group, Session
from ser.commands._configuration import recorded_command
from ser.commands._training import fold_options, record_options, report
from ser.commands._types import FILE, Day, Items, Jobs, Plugin, Whole
from ser.results.headlines import EXPERIMENT, STUDY
from ser.results.listing import SORTS
from ser.results.records.numbers import METRICS, MORE_METRICS

METRIC = click.Choice([*METRICS, *MORE_METRICS], case_sensitive=False)
SHOWN = 20  # differences of a record that `verify` prints


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, report, plot and recompute results."""


@command.command("list", cls=Command)
@click.option("--dataset", help="Only results on this dataset, as source or target.")
@click.option("--head", help="Only results with this head.")
@click.option("--command", "made_by", help="Only results of this command: fit, adapt, ...")
@click.option("--protocol", help="Only results under this protocol.")
@click.option("--scheme", help="Only results with this label scheme.")
@click.option("--features", help="Only results from this store or encoder.")
@click.option("--kind", type=click.Choice([EXPERIMENT, STUDY]), help="Only experiments, or only studies of several.")
@click.option("--since", type=Day(), help="Only results from this day, such as 2026-11-30 (UTC), or later.")
@click.option("--stamps/--no-stamps", default=None, help="Only results with stamps, or only those without.")
@click.option(
    "--sort",
    type=click.Choice(SORTS, case_sensitive=False),
    default="started",
    show_default=True,
    help="Column to sort by, highest last.",
)
@click.option("--limit", type=Whole(min=1), help="Only this many from the end: the newest or the best.")
@click.option("--json", "form", flag_value="json", help="Print all columns, as a JSON list.")
@click.option("--csv", "form", flag_value="csv", help="Print all columns, as CSV.")
def listed(
    session: Session,
    made_by: str | None,
    since: datetime | None,
    sort: str,
    limit: int | None,
    form: str | None,
    **filters: Any,
) -> None:
    """List all results: experiment, dataset, features, head, protocol, runs, UA, WA, validation, date, stamps; newest last.

    \b
    ser results list --dataset ravdess --head mlp --sort validation --limit 10
    """
    from ser.jsonfile import dumps
    from ser.results import listing
    from ser.results.report.formats import terminal

    folder = session.workspace.results
    every, damaged = listing.list_results(folder, session.quiet)
    asked = {**filters, "command": made_by, "since": since.isoformat() if since else None}
    found = listing.ordered(listing.select(every, **asked), sort, limit)
    if form == "json":
        click.echo(dumps([line.facts() for line in found]))
    elif form == "csv":
        click.echo(listing.list_csv(found), nl=False)
    elif found:
        click.echo(terminal.table(listing.list_table(found), terminal.window()))
    if not found:
        session.warn(
            f"No such results in {folder}: {listing.why_none(every, **asked)}" if every else f"No results in {folder}."
        )
    for line in damaged:
        click.echo(line, err=True)
    if damaged:
        raise click.exceptions.Exit(3)


@command.command("show", cls=Command)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def show(session: Session, name: str, form: str) -> None:
    """Show one result: an experiment, or a study made of several (an ablation, a search, a transfer, a matrix).

    NAME is an experiment, the unique beginning of its name, or a JSON file.
    """
    from ser.jsonfile import dumps, read_object
    from ser.results.report.compose import text_of
    from ser.results.report.score_rows import scores_csv
    from ser.results.result import Result

    result = Result.find(name, session.workspace.results)
    if form == "json":
        click.echo(dumps(read_object(result.path, "result")))
    elif form == "csv":
        click.echo(scores_csv(result.record), nl=False)
    else:
        click.echo(text_of(result.record, result.path))


@command.command("schema", cls=Command)
@click.argument("kind", required=False)
def schema(session: Session, kind: str | None) -> None:
    """Print the JSON Schema of a kind of record; without KIND, the names of all kinds."""
    from ser.jsonfile import dumps, json_schema
    from ser.results.records.kinds import kinds

    if kind is None:
        click.echo("\n".join(kinds()))
    elif kind in kinds():
        click.echo(dumps(json_schema(kinds()[kind])))
    else:
        raise registry.unknown("kind of record", kind, list(kinds()))


@command.command("compare", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--metric", type=METRIC, help="Metric to test.  [default: UA, or that of the target]")
@click.option("--at", help="Few-shot: amount of target data, 10% or '5 shots'.  [default: the largest that all have]")
@click.option("--allow", type=Items(), default="", help="Names of stamps to allow although they void a comparison.")
@click.option("--force", is_flag=True, help="Allow all stamps that void a comparison; the result says so.")
@click.option("--output", type=FILE, help="Also write the comparison as JSON.")
def compare(
    session: Session,
    names: tuple[str, ...],
    metric: str | None,
    at: str | None,
    allow: list[str],
    force: bool,
    output: Path | None,
) -> None:
    """Compare results on the same test utterances: paired tests, intervals, effect size, seeds needed.

    NAME is as for `show`; a study stands for its experiments. Runs are paired by seed and fold.

    \b
    ser results compare fit-ravdess-mlp fit-ravdess-linear
    ser results compare adapt-ravdess-emodb --allow oracle --output compared.json
    """
    import shlex

    from ser.jsonfile import write_json
    from ser.results.comparison.compare import compare_results
    from ser.results.records.comparison import ResultComparison
    from ser.results.records.kinds import refuse_to_replace
    from ser.results.report.compose import text_of

    if output is not None:
        refuse_to_replace(output, ResultComparison)
    words = ["ser results compare", *map(shlex.quote, names)]
    words += [f"--metric {metric}"] if metric else []
    words += [f"--at {shlex.quote(at)}"] if at else []
    words += [f"--allow {','.join(allow)}"] if allow else []
    words += ["--force"] if force else []
    found = compare_results(
        names, session.workspace.results, metric=metric, at=at, allow=allow, force=force, output=output, command=" ".join(words)
    )
    if output is not None:
        write_json(output, found, ResultComparison)
    session.say(text_of(found, output or Path("comparison.json")))
    if output is not None:
        session.say(f"\nwritten: {output}")


@command.command("report", cls=Command)
@click.argument("results", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--format", "form", type=Plugin("ser.results.report.formats"), help="[default: by the ending of --output, or html]"
)
@click.option("--output", type=FILE, help="File to write.  [default: NAME.report.html next to the result]")
@click.option("--overwrite", is_flag=True, help="With --output: replace an existing file.")
def reported(session: Session, results: tuple[str, ...], form: str | None, output: Path | None, overwrite: bool) -> None:
    """Write a report: scores with intervals, stamps, pictures, data and audit, configuration, how to reproduce.

    NAME is as for `show`; several results are shown side by side. The HTML page is one file that needs no network.

    \b
    ser results report NAME
    ser results report NAME OTHER --output both.html
    ser results report NAME --format latex
    """
    from ser.results.report.compose import write_report

    path = write_report(results, session.workspace.results, form, output, overwrite=overwrite)
    session.say(f"written: {path}")


@command.command("plot", cls=Command)
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=Items(),
    help=f"One or more of {', '.join(registry.names('ser.results.plotting.pictures'))}, or all that fit.  "
    "[default: the first that fits]",
)
@click.option("--metric", type=METRIC, default="UA", show_default=True, help="For pictures that show one metric.")
@click.option("--format", "formats", type=Items(), help="One or more of png, svg, pdf; text stays text.  [default: png]")
@click.option(
    "--title/--no-title", default=True, help="Print experiment, dataset, n and the meaning of intervals above the picture."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A folder, or for one picture a file ending in .png, .svg or .pdf.  [default: next to the result]",
)
@click.option("--overwrite", is_flag=True, help="With --output: replace existing files.")
def plot(session: Session, name: str, **options: Any) -> None:
    """Plot one result into NAME.KIND.png; NAME is as for `show`. Colour-blind readers can tell the colours apart.

    \b
    ser results plot NAME --kind confusion,classes --format pdf,svg --output figures
    ser results plot NAME --kind all
    """
    from ser.results.plotting.gallery import plot_into
    from ser.results.result import Result

    result = Result.find(name, session.workspace.results)
    for path in plot_into(result, **options):
        session.say(f"written: {path}")


@command.command("import", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, help="Dataset whose table lists the utterances.")
@record_options("system")
@click.option("--name", help="Name of the system, used like a head's.  [default: the file's name]")
@click.option(
    "--system",
    default="",
    metavar="TEXT",
    help="Description of the system; a model of ser encoders is stamped with what it has seen.",
)
@click.option(
    "--missing",
    default="error",
    show_default=True,
    metavar="error|drop|CLASS",
    help="Test utterances without a prediction are an error, left out (stamped), or counted as CLASS (stamped).",
)
@click.option("--id", "id_column", metavar="COLUMN", help="Column of utterance ids.  [default: utterance_id, id, key, ...]")
@click.option("--label", metavar="COLUMN", help="Column of predicted labels.  [default: predicted, label, emotion, ...]")
@click.option("--probabilities", type=Items(), help="Columns of probabilities, one for each label.  [default: p_LABEL]")
def imported(session: Session, file: Path, dataset: str, labels: tuple[str, ...], **options: Any) -> None:
    """Import predictions of any other system; the record, like a head's, can be shown, compared, reported and verified.

    FILE is CSV or JSON lines with an utterance id and either a label or a probability for each label; the columns run, fold and
    split are optional.

    \b
    ser results import answers.csv --dataset meld --scheme 7 --name llm --system "an LLM, zero-shot"
    ser results import emotions.jsonl --dataset ravdess --scheme native --map calmness=calm --map unknown=
    """
    from ser.evaluation.systems.importing import import_predictions
    from ser.evaluation.systems.label_map import read_map

    rule = fold_options(options)
    result, remarks = import_predictions(
        file, dataset, session.workspace, folds=rule, labels=read_map(labels), command=recorded_command(), **options
    )
    for remark in remarks:
        session.warn(remark)
    report(session, result)


@command.command("verify", cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "every", is_flag=True, help="Verify all results of the workspace.")
@click.option("--strict", is_flag=True, help="Count missing files, which cannot be checked, as faults.")
@click.option(
    "--jobs", type=Jobs(), help="With --all: worker processes, worthwhile from about a hundred results.  [default: 1]"
)
def verified(session: Session, names: tuple[str, ...], every: bool, strict: bool, jobs: int | None) -> None:
    """Recompute all numbers of results from their predictions, and check the hashes of their data.

    NAME is as for `show`. Each difference is listed; the exit code is 3 if there is any.
    """
    from ser.results.records.find import find_summary
    from ser.results.verification.verify import verify, verify_all

    if every and names:
        raise click.UsageError(f"--all takes all results; leave it out, or {' '.join(names)}")
    if not every and not names:
        raise click.UsageError("nothing to verify; name results, or give --all")
    if jobs and not every:
        raise click.UsageError("--jobs is of --all")
    folder = session.workspace.results
    found = (
        verify_all(folder, session.workspace, jobs or 1)
        if every
        else (verify(find_summary(name, folder), session.workspace) for name in names)
    )
    number = failed = 0
    said: list[str] = []  # remarks on all results are said once
    for verdict in found:
        number += 1
        faults = [d.line() for d in verdict.differences] + (verdict.missing if strict else [])
        failed += bool(faults)
        state = f"{len(faults)} differences" if faults else "as recorded"
        session.say(f"{verdict.path.name}: {state}; {verdict.numbers:,} values recomputed, {verdict.files} files compared")
        shown = faults if session.verbose else faults[:SHOWN]
        for line in shown:
            click.echo(f"  {line}", err=True)
        if len(faults) > len(shown):
            click.echo(f"  ... and {len(faults) - len(shown)} more: --verbose lists all", err=True)
        beyond = [line for line in verdict.beyond if line not in said]
        said += beyond
        for line in [*([] if strict else verdict.missing), *beyond]:
            session.say(f"  not checked: {line}")
    if every:
        session.say(f"{number} results, {failed} with differences")
    if failed:
        raise click.exceptions.Exit(3)
