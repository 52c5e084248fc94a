"""`ser results compare`: results against each other, in pairs."""

from pathlib import Path

import click

from ser.commands._base import Command, Session
from ser.commands._types import Items
from ser.results.records.numbers import METRICS, MORE_METRICS

METRIC = click.Choice([*METRICS, *MORE_METRICS], case_sensitive=False)


@click.command("compare", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--metric",
    type=METRIC,
    help="The metric to test.  [default: UA, or that of the target]",
)
@click.option(
    "--at", help="Few-shot: the amount of target data, 10% or '5 shots'.  [default: the largest that all have]"
)
@click.option(
    "--allow", type=Items(), default="", help="Stamps that void a comparison, to be allowed all the same, by name."
)
@click.option("--force", is_flag=True, help="Allow all such stamps; the result says so.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the comparison as JSON too.")
def command(
    session: Session,
    names: tuple[str, ...],
    metric: str | None,
    at: str | None,
    allow: list[str],
    force: bool,
    output: Path | None,
) -> None:
    """Compare results on the same test utterances: paired tests, intervals, effect size, seeds needed.

    NAME as for `show`; a study stands for the experiments that it is made of. Runs pair by seed and fold.

    \b
    ser results compare fit-ravdess-mlp fit-ravdess-linear
    ser results compare adapt-ravdess-emodb --allow oracle --output compared.json
    """
    import shlex

    from ser.errors import ConfigError
    from ser.jsonfile import write_json
    from ser.results.comparison.compare import compare_results
    from ser.results.records.comparison import ResultComparison
    from ser.results.report.compose import text_of

    if output is not None and output.suffix != ".json":
        raise ConfigError(f"--output {output}", expected="a file that ends in .json")
    words = ["ser results compare", *map(shlex.quote, names)]
    words += [f"--metric {metric}"] if metric else []
    words += [f"--at {shlex.quote(at)}"] if at else []
    words += [f"--allow {','.join(allow)}"] if allow else []
    words += ["--force"] if force else []
    found = compare_results(
        names,
        session.workspace.results,
        metric=metric,
        at=at,
        allow=allow,
        force=force,
        output=output,
        command=" ".join(words),
    )
    if output is not None:
        write_json(output, found, ResultComparison)
    session.say(text_of(found, output or Path("comparison.json")))
    if output is not None:
        session.say(f"\nwritten: {output}")
