"""`ser slurm`: another command, as jobs of SLURM."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ser import registry
from ser.commands._base import COMMANDS, Command, Session, common_option
from ser.commands._configuration import COMMON, typed
from ser.commands._types import Whole
from ser.errors import ConfigError
from ser.workers.engine import LOCAL, THREADS


def slurm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an allocation (`ser.workers.sbatch.Allocation`), and --print, to a command's function."""
    for option in (
        click.option("--print", "printed", is_flag=True, help="SLURM: only print the script that submits the jobs."),
        click.option(
            "--sbatch",
            multiple=True,
            metavar="KEY=VALUE",
            help="SLURM: another sbatch option, such as gpus=1, mem=16G or account=speech. May be repeated.",
        ),
        click.option(
            "--time",
            metavar="LIMIT",
            help="SLURM: time limit of a job, in minutes or as [DAYS-]HOURS:MINUTES:SECONDS.  [default: 2:00:00]",
        ),
        click.option("--partition", metavar="NAME", help="SLURM: partition of the jobs."),
        click.option(
            "--at-once", type=Whole(min=1), metavar="N", help="SLURM: maximum number of parts that run at the same time."
        ),
    ):
        command = option(command)
    return command


@click.command("slurm", cls=Command, context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option(
    "--shards",
    type=Whole(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Jobs for parts of a command that accepts --shard; one more job then completes it from what they recorded.",
)
@click.option("--cpus", type=Whole(min=1), default=1, show_default=True, help="Cores per job, and its --jobs.")
@slurm_options
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
    """Run a command of ser as SLURM jobs, wait for them, and print its output.

    Put the options of this command before the other command's name. If you run it again, it watches the same jobs; if they have
    ended, it submits new ones, which continue from what is recorded.

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
    name, *rest = words
    context = _read(name, rest, shards)
    begin = [name, *_handed_on(context)]
    jobs = "jobs" in context.params and context.get_parameter_source("jobs") is not ParameterSource.COMMANDLINE
    if jobs and context.params.get("backend", "here") in ("here", LOCAL, THREADS):
        begin += ["--jobs", str(cpus)]
    folder = Path(_common(context, "workspace") or "").resolve() / FOLDER
    allocation = Allocation(f"ser-{name}", cpus, time, partition, sbatch, at_once)
    numbers = range(shards if shards > 1 else 0)
    if printed:
        click.echo(script([sys.executable, "-m", "ser", *begin], rest, len(numbers), allocation, folder))
        return
    parts = [SerCommand((*begin, "--shard", f"{number}/{shards}", *rest)) for number in numbers]
    same = (words, _common(context, "config"), _common(context, "part"), context.default_map, shards, Path.cwd())
    key = hashlib.sha256(repr(same).encode()).hexdigest()[:12]
    work = Work(parts, SerCommand((*begin, *rest)), folder / f"{name}-{key}", f"ser {name}")
    ended = run(work, allocation, session.quiet, session.warn)
    click.echo(ended.output, nl=False)
    if ended.code:
        click.echo("".join(ended.errors), nl=False, err=True)
        raise click.exceptions.Exit(ended.code)


def _read(name: str, words: list[str], shards: int) -> click.Context:
    """Read the words of the command as `ser` would, with the common options that stand before `slurm` and after it.

    Raises:
        ConfigError: there is no such command, or it has no parts.
        click.UsageError: an option of it is wrong.
    """
    known = registry.names(COMMANDS)
    if name not in known:
        raise registry.unknown("command", name, known)
    other: click.Command = registry.load(COMMANDS, name).command
    if shards > 1 and "shard" not in {p.name for p in other.params}:
        raise ConfigError(
            f"ser {name} has no --shard: it cannot be done in parts", action="Leave out --shards.", option="shards"
        )
    own = click.get_current_context()
    ser = own.find_root()
    above = click.Context(ser.command, info_name=ser.info_name, **ser.command.context_settings)
    above.params = {option: _common(own, option) for option in COMMON}
    context = other.make_context(name, list(words), above)
    if shards > 1 and context.get_parameter_source("shard") is not ParameterSource.DEFAULT:
        raise ConfigError("--shards gives each job its --shard", found="--shard", action="Leave out --shard.")
    for option in ("halving", "overwrite"):
        if shards > 1 and context.params.get(option):
            raise ConfigError(
                f"ser {name} --{option} cannot be done in parts",
                found=f"--shards {shards}",
                action=f"Leave out --shards, or --{option}.",
                option="shards",
            )
    return context


def _common(context: click.Context, name: str) -> Any:
    return common_option(context, name, context.params.get(name))


def _handed_on(context: click.Context) -> list[str]:
    """The words of the common options that the command has from above."""
    assert context.parent is not None
    from_above = {n: v for n, v in context.parent.params.items() if v is not None and context.params.get(n) is None}
    return [word for p in context.command.params if p.name in from_above for word in typed(p, from_above[p.name])]
