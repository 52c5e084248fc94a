"""`ser fit`: train a head over seeds and folds on cached features, or search its settings."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Whole


@click.command("fit", cls=Command)
@click.option("--dataset", help="Dataset with features.  [default: the only one]")
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=VALUES",
    help="Try every value, such as lr=1e-3,1e-4, head.hidden=128,[512,256] or head=mlp,linear; the validation score chooses. "
    "May be repeated.",
)
@click.option(
    "--random",
    type=Whole(min=1),
    help="Draw this many settings from --grid, which may then contain ranges, such as lr=1e-4:1e-2:log.",
)
@click.option(
    "--halving",
    type=Whole(min=2),
    metavar="N",
    help="With --grid: successive halving. At some epochs, only the best one in N of the runs, by validation, continues.",
)
@click.option(
    "--final", is_flag=True, help="Also train heads for use on all utterances, for as many epochs as the folds chose."
)
@training_options()
def command(
    session: Session,
    dataset: str | None,
    grid: tuple[str, ...],
    random: int | None,
    halving: int | None,
    final: bool,
    **options: Any,
) -> None:
    """Train a head over seeds and folds on cached features; writes results/….json.

    \b
    ser fit --runs 5
    ser fit --dataset emodb --head mlp --protocol speaker --scheme native --runs 5
    ser fit --dataset emodb --head sklearn:SVC --head-option kernel=linear --scheme native
    ser fit --dataset emodb --audio egemaps --scheme native --final
    ser fit --grid lr=1e-3,3e-4 --grid head.hidden=128,256
    """
    from ser.errors import ConfigError
    from ser.features.store_selection import choose_dataset

    name = dataset or choose_dataset(session.workspace)
    given = arguments(session, options, dataset=name)
    if not grid and random is None:
        if halving is not None:
            raise ConfigError("--halving is of a search", action="Add --grid with the values to try.")
        from ser.train.experiments.fit import fit
        from ser.train.runs.final import final_line

        found = fit(name, session.workspace, final=final, **given)
        report(session, found, options["log"])
        if final:
            session.say(final_line(found.path))
        return
    if final:
        raise ConfigError("--final is of one setting", action="Fit the chosen one by itself: ser fit ... --final.")
    from ser.train.experiments.search import search
    from ser.train.experiments.search_space import parse_grid

    found = search(name, session.workspace, grid=parse_grid(grid), random=random, halving=halving, **given)
    report(session, found, options["log"])
    if found["failed"]:
        raise click.exceptions.Exit(3)
