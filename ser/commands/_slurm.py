"""Options of the commands that submit jobs to SLURM."""

from collections.abc import Callable
from typing import Any

import click

from ser.commands._types import Whole


def slurm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an allocation (`ser.workers.sbatch.Allocation`), and --print, to a command's function."""
    for option in (
        click.option(
            "--print", "printed", is_flag=True, help="Of SLURM: print the script that submits the jobs, and do nothing."
        ),
        click.option(
            "--sbatch",
            multiple=True,
            metavar="KEY=VALUE",
            help="Of SLURM: a further option, such as gpus=1, mem=16G or account=speech. May be repeated.",
        ),
        click.option(
            "--time",
            metavar="LIMIT",
            help="Of SLURM, for a job: minutes, or [DAYS-]HOURS:MINUTES:SECONDS.  [default: 2:00:00]",
        ),
        click.option("--partition", metavar="NAME", help="Of SLURM."),
        click.option(
            "--at-once", type=Whole(min=1), metavar="N", help="Of SLURM: the parts that run at the same time."
        ),
    ):
        command = option(command)
    return command
