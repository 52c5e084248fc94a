"""`ser transfer`: a source's head on a target without any target data, or every corpus on every other."""

from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._training import arguments, report, training_options
from ser.commands._types import Items


@click.command("transfer", cls=Command)
@click.option("--source", help="Corpus to train on.  [default: iemocap where it and cremad are cached]")
@click.option("--target", help="Corpus to test on.  [default: cremad]")
@click.option("--matrix", is_flag=True, help="Use each of --datasets as source and as target; writes a table and a heat map.")
@click.option("--datasets", type=Items(), help="Datasets of --matrix.  [default: all that have the features]")
@training_options(without=("refit", "target"), learns=True)
def command(
    session: Session, source: str | None, target: str | None, matrix: bool, datasets: list[str] | None, **options: Any
) -> None:
    """Test a source's head on a target corpus that it has not seen (zero-shot); writes results/….json.

    The classes are those that both corpora have under --scheme; --protocol is the target's. With --matrix, all pairs are tested
    on the classes that all corpora have, and the diagonal shows each corpus under its own protocol: results/matrix-….json, .csv
    and .matrix.png.

    \b
    ser transfer --source ravdess --target emodb --audio egemaps --runs 5
    ser transfer --matrix --datasets ravdess,emodb,cremad --audio egemaps --runs 5
    """
    from ser.errors import ConfigError
    from ser.train.experiments.transfer import transfer
    from ser.train.experiments.transfer_matrix import matrix as every
    from ser.train.runs.source_target import need_pair

    if matrix and (source or target):
        raise ConfigError("--matrix with --source NAME or --target NAME", expected="--matrix --datasets A,B,...")
    if datasets and not matrix:
        raise ConfigError(
            "--datasets without --matrix", expected="--source NAME --target NAME, or --matrix --datasets NAME,NAME,..."
        )
    if matrix:
        named = [name for flag in ("audio", "text", "visual") for name in options[flag] or ()]
        names = datasets or session.workspace.with_features(named)
        found = every(names, session.workspace, **arguments(session, options, datasets=",".join(names)))
        report(session, found, options["log"])
        path = options["output"] or session.workspace.results / f"{found['experiment']}.json"
        session.say(f"table       {path.with_suffix('.csv')}\npicture     {path.with_suffix('.matrix.png')}")
        return
    source, target = need_pair(session.workspace, source, target)
    given = arguments(session, options, source=source, target=target)
    report(session, transfer(source, target, session.workspace, **given), options["log"])
