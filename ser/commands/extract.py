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
@click.option("--dataset", "datasets", type=Items(), required=True, help="One dataset or several: emodb,ravdess.")
@click.option("--root", type=Folder(or_file=True), help="Corpus folder, which holds the audio.")
@click.option("--audio", type=Items(), help="Audio encoders: short names, hub ids (also id@revision) or folders.")
@click.option(
    "--text", type=Items(), help="Text encoders, likewise.  [default for both: emotion2vec, and bert if there is text]"
)
@click.option(
    "--text-source",
    default="corpus",
    show_default=True,
    metavar="SOURCE",
    help="corpus: the table's text; asr, asr-MODEL: transcripts of ser transcribe; simulated, simulated-SEED: text that "
    "reveals the labels.",
)
@click.option("--level", type=click.Choice(["utterance", "frame"]), help="One vector per utterance, or one per frame.")
@click.option(
    "--layers",
    type=_Parsed(_layers, "last|all|LIST", "last, all, or layer numbers such as 6,9"),
    help="Hidden layers to keep; 0 is the input of the first.  [default: all for speech encoders at utterance level; "
    "otherwise last]",
)
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "mean,std", "last", "sentence"]),
    help="At utterance level: the mean of frames or tokens, optionally with their standard deviation; for text, also the first "
    "(cls) or last token, or a sentence encoder's own pooling.",
)
@click.option(
    "--window",
    type=click.Choice(["published", "exact"]),
    default="published",
    show_default=True,
    help="Whisper: pad short audio to 30 s, as in its training (published), or encode only its own frames (exact), which is "
    "many times faster.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, mps; auto uses a GPU if there is one; cuda:all, one process for each GPU of this machine.",
)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True)
@click.option(
    "--batch-seconds",
    type=Number(min=0),
    help="Seconds of audio per batch; 0: one utterance at a time. Features are the same.  [default: 16 on a CPU, 240 on a GPU]",
)
@click.option(
    "--store-dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of stored frames.",
)
@click.option("--jobs", type=Jobs(), help="Cores to use; with SLURM, for each part.  [default: all; with SLURM 1]")
@click.option(
    "--shard",
    type=_Parsed(parse_shard, "I/N", "I/N, with I from 0 to N - 1"),
    default="0/1",
    help="Extract part I (0 to N - 1) of N; other processes extract the others. A run without --shard, or ser store merge, "
    "then merges the parts.",
)
@click.option(
    "--backend",
    type=click.Choice(["here", "slurm", "dask", "ray"]),
    default="here",
    show_default=True,
    help="Extract in parts on a cluster and merge them: a SLURM job array, or Dask or Ray workers.",
)
@click.option("--shards", type=Whole(min=1), metavar="N", help="With --backend: number of parts.  [default: 8]")
@click.option(
    "--address", metavar="HOST:PORT", help="Address of Dask or Ray.  [default: DASK_SCHEDULER_ADDRESS or RAY_ADDRESS]"
)
@slurm_options
@click.option(
    "--verify",
    type=Whole(min=0),
    default=0,
    metavar="N",
    help="Encode N utterances of each store again, one at a time, and report the largest difference.",
)
@click.option(
    "--views",
    type=Items(),
    help="Augmented views besides the original: tta (speed 0.95 and 1.05, noise at 15 and 20 dB); names (speed0.9, tempo1.1, "
    "pitch+2, noise15, white15, pink20, reverb, gain-6, clip10, lowpass3400, gsm, opus16); a number of random ones; "
    "classwise1, ..., chosen by the emotion; or suite, the conditions of ser evaluate --suite.",
)
@click.option("--noise-folder", type=Folder(), help="Recordings to take noise from, such as MUSAN.  [default: white noise]")
@click.option("--impulses", type=Folder(), help="Room impulse responses, for reverb.  [default: simulated rooms]")
@click.option(
    "--view-seed", type=Whole(largest=2**63 - 1), default=0, show_default=True, help="Seed of the random choices of views."
)
@click.option("--view-scheme", default="4", show_default=True, help="Label scheme for classwise views.")
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--revision", help="Commit of the model's hub repository; for several models: id@revision.")
@click.option("--overwrite", is_flag=True, help="Start the stores from scratch.")
def command(session: Session, datasets: list[str], root: Path | None, printed: bool, **options: Any) -> None:
    """Extract features of audio and text into HDF5 stores, resuming where an earlier run stopped."""
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
