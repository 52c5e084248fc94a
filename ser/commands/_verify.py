"""`ser results verify`: compute every number of a record again."""

import click

from ser.commands._base import Command, Session
from ser.commands._types import Whole

SHOWN = 20


@click.command("verify", cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "every", is_flag=True, help="All results of the workspace.")
@click.option("--strict", is_flag=True, help="Files that are missing, and so cannot be checked, are faults too.")
@click.option(
    "--jobs",
    type=Whole(min=1),
    help="Of --all: worker processes; they pay for a hundred results.  [default: 1]",
)
def command(session: Session, names: tuple[str, ...], every: bool, strict: bool, jobs: int | None) -> None:
    """Recompute all numbers of results from their predictions, and check the hashes of their data.

    NAME as for `show`. Exit code 3 where anything differs; each difference is listed.
    """
    from ser.results.records.find import find_summary
    from ser.results.verification.verify import verify, verify_all

    if every == bool(names):
        raise click.UsageError("name results, or give --all")
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
        session.say(
            f"{verdict.path.name}: {state}; {verdict.numbers:,} values recomputed, {verdict.files} files compared"
        )
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
