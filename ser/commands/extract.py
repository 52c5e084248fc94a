"""`ser extract`: a corpus's audio and text -> feature stores."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ser.commands._base import Command, Session
from ser.commands._configuration import without
from ser.commands._types import Folder, Items, Jobs, Number, Whole
from ser.commands.slurm import slurm_options
from ser.workers.engine import parse_shard

if TYPE_CHECKING:
    from ser.extract.spread import Placement


def _layers(value: str) -> "str | tuple[int, ...]":
    return value if value in ("last", "all") else tuple(int(v) for v in value.split(","))


class _Parsed(click.ParamType):  # type: ignore[type-arg]
    """A value that a function parses."""

    def __init__(self, parse: Any, name: str, expected: str) -> None:
        self.parse, self.name, self.expected = parse, name, expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.parse(value) if isinstance(value, str) else value
        except ValueError:
            self.fail(f"{value!r} is not {self.expected}", param, ctx)


@click.command("extract", cls=Command)
@click.option("--dataset", "datasets", type=Items(), required=True, help="Dataset, or several: emodb,ravdess.")
@click.option("--root", type=Folder(or_file=True), help="The corpus folder; where the audio lies.")
@click.option("--audio", type=Items(), help="Audio encoders: short names, hub ids (also id@revision) or folders.")
@click.option("--text", type=Items(), help="Text encoders, likewise.  [default for both: emotion2vec, and bert if text]")
@click.option(
    "--text-source",
    default="corpus",
    show_default=True,
    metavar="SOURCE",
    help="corpus: the table's text; asr, asr-MODEL: of ser transcribe; simulated, simulated-SEED: gives labels away.",
)
@click.option("--level", type=click.Choice(["utterance", "frame"]), help="One vector per utterance, or one per frame.")
@click.option(
    "--layers",
    type=_Parsed(_layers, "last|all|LIST", "last, all, or layer numbers such as 6,9"),
    help="Hidden layers to keep; 0 is the input of the first.  [default: of speech encoders, utterance level, all; else last]",
)
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "mean,std", "last", "sentence"]),
    help="At utterance level: the mean of frames or tokens, also with their standard deviation; of text the first or the last "
    "token, or a sentence encoder's own.",
)
@click.option(
    "--window",
    type=click.Choice(["published", "exact"]),
    default="published",
    show_default=True,
    help="Whisper: pad short audio to 30 s, as it was trained, or encode its own frames alone, which is many times as fast.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one; cuda:all, a process for each GPU of this machine.",
)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True)
@click.option(
    "--batch-seconds",
    type=Number(min=0),
    help="Audio in a batch; 0 is one utterance at a time. Features are the same.  [default: 16 on a CPU, 240 on a GPU]",
)
@click.option(
    "--store-dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of stored frames.",
)
@click.option("--jobs", type=Jobs(), help="Cores to use; of SLURM, for each part.  [default: all; of SLURM 1]")
@click.option(
    "--shard",
    type=_Parsed(parse_shard, "I/N", "I/N, with I from 0 to N - 1"),
    default="0/1",
    help="Do part I (0 to N - 1) of N, beside other processes; a run without --shard, or ser store merge, then merges.",
)
@click.option(
    "--backend",
    type=click.Choice(["here", "slurm", "dask", "ray"]),
    default="here",
    show_default=True,
    help="Extract in parts on a cluster, and merge: a job array of SLURM, or workers of Dask or Ray.",
)
@click.option("--shards", type=Whole(min=1), metavar="N", help="Of --backend: the number of parts.  [default: 8]")
@click.option("--address", metavar="HOST:PORT", help="Of Dask or Ray.  [default: DASK_SCHEDULER_ADDRESS or RAY_ADDRESS]")
@slurm_options
@click.option(
    "--verify",
    type=Whole(min=0),
    default=0,
    metavar="N",
    help="Encode N utterances of each store again, alone, and report the largest difference.",
)
@click.option(
    "--views",
    type=Items(),
    help="Augmented views beside the original: tta (speed 0.95 and 1.05, noise at 15 and 20 dB), names (speed0.9, tempo1.1, "
    "pitch+2, noise15, white15, pink20, reverb, gain-6, clip10, lowpass3400, gsm, opus16), a number of random ones, "
    "classwise1, ... by the emotion, or suite, the conditions of ser evaluate --suite.",
)
@click.option("--noise-folder", type=Folder(), help="Recordings that noise is taken from, as MUSAN.  [default: white noise]")
@click.option("--impulses", type=Folder(), help="Impulse responses of rooms, for reverb.  [default: simulated rooms]")
@click.option(
    "--view-seed", type=Whole(largest=2**63 - 1), default=0, show_default=True, help="Seed of the random choices of views."
)
@click.option("--view-scheme", default="4", show_default=True, help="Label scheme of classwise views.")
@click.option("--weights", type=Folder(), help="Folder of models, used before cache and network.")
@click.option("--revision", help="Commit of the model's hub repository; of several: id@revision.")
@click.option("--overwrite", is_flag=True, help="Start the stores again.")
def command(session: Session, datasets: list[str], root: Path | None, printed: bool, **options: Any) -> None:
    """Extract features of audio and text into HDF5 stores, going on where an earlier run stopped."""
    from ser.accelerator import ALL_GPUS
    from ser.errors import AudioError, ConfigError
    from ser.extract.request import Extraction, ExtractionRequest, extract_dataset
    from ser.extract.spread import HERE, SLURM, ExtractionPart, Placement, check, spread
    from ser.workers.threads import cores

    if root is not None and len(datasets) > 1:
        raise ConfigError("--root is one corpus's folder", expected="one --dataset", found=", ".join(datasets))
    if options["shard"][1] > 1 and options["overwrite"]:
        raise ConfigError("--overwrite and --shard: each process would remove what the others have written")
    placement = Placement(**{field.name: options.pop(field.name) for field in fields(Placement)})
    options["jobs"] = options["jobs"] or (1 if placement.backend == SLURM else cores())
    request = ExtractionRequest(**options)
    check(placement, request)
    if printed:
        click.echo(_script(session, placement, request.jobs))
        return
    failed = 0
    loaded: dict[tuple[str, str], Any] = {}
    for dataset in datasets:
        if placement.backend == HERE and request.device != ALL_GPUS:
            asked = Extraction(dataset, root, request, session.workspace, session.quiet)
            made = extract_dataset(asked, session.warn, loaded)
        else:
            whole = ExtractionPart(dataset, root, request, session.workspace, session.quiet)
            made = iter(spread(whole, placement, session.warn))
        try:
            for report in made:
                session.say(report.line())
                for note in report.notes():
                    session.warn(note)
                failed += report.failed + report.differs
        except AudioError as error:
            if request.shard[1] == 1:
                raise
            session.warn(str(error))  # in a part nothing could be used: the whole tries again
            failed += 1
    if failed:
        raise click.exceptions.Exit(3)


def _script(session: Session, placement: "Placement", jobs: int) -> str:
    """The shell script that submits this command's parts to SLURM."""
    from ser.errors import ConfigError
    from ser.extract.spread import HERE, SLURM
    from ser.workers.sbatch import script
    from ser.workers.slurm import FOLDER

    if placement.backend != SLURM:
        raise ConfigError("--print is for --backend slurm", found=f"--backend {placement.backend}")
    words = without(["backend", *(field.name for field in fields(placement)), "jobs", "printed"])
    words = [sys.executable, "-m", "ser", *words, "--backend", HERE, "--jobs", str(jobs)]
    return script(words, [], placement.parts, placement.allocation(jobs), session.workspace.root / FOLDER)
