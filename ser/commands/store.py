"""`ser store`: looks after feature stores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Group, Items, Session
from ser.commands._importing import command as import_command


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose stores."""
    store = click.option("--store", "stores", type=Items(), help="Names of stores.  [default: all]")
    dataset = click.option("--dataset", "datasets", type=Items(), help="Datasets.  [default: all]")
    return dataset(store(function))


@click.group("store", cls=Group)
def command() -> None:
    """Look after feature stores."""


@command.command("info", cls=Command)
@_which
def info(session: Session, **which: Any) -> None:
    """Say what each store holds; with --verbose, also where its features came from."""
    from ser.features.stores.maintenance import choose, describe, details
    from ser.features.stores.store import FeatureStore

    for path in choose(session.workspace, **which):
        with FeatureStore(path) as store:
            click.echo(describe(store))
            if session.verbose:
                click.echo(details(store))


@command.command("verify", cls=Command)
@_which
@click.option("--repair", is_flag=True, help="Drop what is damaged, so that `ser extract` makes it again.")
def verify(session: Session, repair: bool, **which: Any) -> None:
    """Compare every utterance with its check sum; exit code 3 where something is damaged."""
    from ser.features.stores import maintenance

    sound = True
    for path in maintenance.choose(session.workspace, **which):
        finding = maintenance.verify(path, repair, session.warn)
        session.say(finding.line())
        sound &= finding.sound
    if not sound:
        raise click.exceptions.Exit(3)


@command.command("merge", cls=Command)
@_which
def merge(session: Session, **which: Any) -> None:
    """Merge the shards of each store into one file, in the table's order."""
    from ser.features.stores import maintenance

    for path in maintenance.choose(session.workspace, **which):
        session.say(maintenance.merge(path, session.workspace, session.warn))


@command.command("export", cls=Command)
@_which
@click.option("--format", "kind", type=click.Choice(["npz", "csv", "parquet"]), default="npz", show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder to write to.")
def export(session: Session, kind: str, output: Path, **which: Any) -> None:
    """Write stores as .npz (any), .csv or .parquet (one vector an utterance)."""
    from ser.features.export import export as write
    from ser.features.stores.maintenance import choose
    from ser.features.stores.store import FeatureStore

    for path in choose(session.workspace, **which):
        with FeatureStore(path) as store:
            written = write(store, output / f"{path.parent.name}.{path.name.removesuffix('.h5')}.{kind}")
        session.say(f"{path.parent.name} {path.name.removesuffix('.h5')}: {len(store)} utterances -> {written}")


command.add_command(import_command)
