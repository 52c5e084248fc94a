"""`ser slurm`: another command, as jobs of SLURM."""

import hashlib
import shlex
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from ser import registry
from ser.commands._base import COMMANDS, Command, Session
from ser.errors import ConfigError
from ser.workers.engine import LOCAL


@click.command("slurm", cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Jobs for parts of the command, which takes --shard; one more job then does the whole from what they recorded.",
)
@click.option("--at-once", type=click.IntRange(min=1), metavar="N", help="The parts that run at the same time.")
@click.option(
    "--cpus", type=click.IntRange(min=1), default=1, show_default=True, help="Cores of a job, and its --jobs."
)
@click.option("--partition", metavar="NAME", help="Of SLURM.")
@click.option(
    "--time",
    metavar="LIMIT",
    help="For a job: minutes, or [DAYS-]HOURS:MINUTES:SECONDS.  [default: 2:00:00]",
)
@click.option(
    "--sbatch",
    multiple=True,
    metavar="KEY=VALUE",
    help="A further option of sbatch, such as gpus=1, mem=16G or account=speech. May be repeated.",
)
@click.option("--print", "printed", is_flag=True, help="Print the script that submits the jobs, and do nothing.")
def command(
    session: Session,
    words: tuple[str, ...],
    shards: int,
    at_once: int | None,
    cpus: int,
    partition: str | None,
    time: str | None,
    sbatch: tuple[str, ...],
    printed: bool,
) -> None:
    """Give a command of ser as jobs of SLURM, wait for them, and print what it prints.

    Options of this command stand before the other's name. Given again, it watches the same jobs; where they have ended, it
    submits new ones, which go on from what is recorded.

    \b
    ser slurm --shards 8 --time 1:00:00 fit --dataset ravdess --audio egemaps --runs 40
    ser slurm --partition gpu --sbatch gpus=1 fit --dataset ravdess --audio egemaps --device cuda
    ser slurm --print --shards 8 fit --dataset ravdess --audio egemaps > fit.sh
    """
    from ser.workers.command import SerCommand
    from ser.workers.sbatch import Allocation, script
    from ser.workers.slurm import FOLDER, Work, run

    if at_once and shards == 1:
        raise ConfigError(
            f"--at-once {at_once}: there is one job", action="Give --shards too, or leave it out.", option="at_once"
        )
    whole, root = _whole(session, words, shards, cpus)
    allocation = Allocation(f"ser-{words[0]}", cpus, time, partition, sbatch, at_once)
    parts = [SerCommand((*whole, "--shard", f"{number}/{shards}")) for number in range(shards)] if shards > 1 else []
    if printed:
        line = shlex.join([sys.executable, "-m", "ser", *whole])
        click.echo(script(line, len(parts), allocation, root / FOLDER))
        return
    key = hashlib.sha256(repr((words, shards)).encode()).hexdigest()[:12]
    work = Work(parts, SerCommand(whole), root / FOLDER / f"{words[0]}-{key}", f"ser {words[0]}")
    session.say(run(work, allocation, session.quiet, session.warn).rstrip("\n"))


def _whole(session: Session, words: tuple[str, ...], shards: int, cpus: int) -> tuple[tuple[str, ...], Path]:
    """The words of the command in a job, with its cores and its workspace, and that workspace's folder.

    Raises:
        ConfigError: there is no such command, or it has no parts.
        click.UsageError: an option of it is wrong.
    """
    name, known = words[0], registry.names(COMMANDS)
    if name not in known:
        raise registry.unknown("command", name, known)
    other: click.Command = registry.load(COMMANDS, name).command
    more: list[str] = []
    root = session.workspace.root
    options = {str(p.name) for p in other.params}
    if shards > 1 and "shard" not in options:
        raise ConfigError(
            f"ser {name} has no --shard: it cannot be done in parts", action="Leave out --shards.", option="shards"
        )
    if not isinstance(other, click.Group):
        context = other.make_context(name, list(words[1:]), click.get_current_context().find_root())
        given = {n for n in options if context.get_parameter_source(n) is ParameterSource.COMMANDLINE}
        if shards > 1 and "shard" in given:
            raise ConfigError("--shards gives each job its --shard", found="--shard", action="Leave out --shard.")
        here = context.params.get("backend", "here") in ("here", LOCAL)
        more += ["--jobs", str(cpus)] if "jobs" in options - given and here else []
        root = context.params["workspace"] or root
    if root == session.workspace.root != Path():
        more += ["--workspace", str(root)]
    return (*words, *more), root.resolve()
