"""`ser predict`: emotions of new audio."""

from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Session
from ser.commands._types import FILE, Folder, Number, Pairs, Whole


@click.command("predict", cls=Command)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--model",
    required=True,
    metavar="NAME|FILE|FOLDER",
    help="The file of a saved head or of ser export onnx; the beginning of the name of an experiment of ser fit --save, to use "
    "the mean of its heads; or a folder of ser export folder.",
)
@click.option("--texts", type=FILE, help="File with the spoken words, one line for each file.")
@click.option(
    "--list",
    "table",
    type=FILE,
    help="Instead of FILES: a table with the columns file, text or both, and, as far as known, start, end, channel, speaker, "
    "dialogue and turn.",
)
@click.option(
    "--window", type=Number(min=0, min_open=True), help="Follow long recordings through a window of this many seconds."
)
@click.option("--hop", type=Number(min=0, min_open=True), help="Seconds between two windows.  [default: a quarter of --window]")
@click.option(
    "--channels",
    metavar="mix|split|N",
    default="mix",
    show_default=True,
    help="The mean of all channels, each channel separately, or channel N, counted from 0.",
)
@click.option("--vad", type=click.Choice(["silero"]), help="Leave out steps in which nobody speaks (pip install 'ser[vad]').")
@click.option(
    "--diarize",
    is_flag=True,
    help="Tell speakers apart, in a column speaker; non-speech gets no row, as with --vad silero (needs --window).",
)
@click.option("--speakers", type=Whole(min=1), help="With --diarize: number of speakers.  [default: found from the voices]")
@click.option(
    "--speaker-encoder",
    metavar="NAME|FOLDER",
    help="With --diarize: encoder whose features tell speakers apart.  [default: campplus-zh-en]",
)
@click.option("--smooth", type=Number(min=0), default=0.0, help="Average the probabilities over this many seconds.")
@click.option(
    "--rows",
    type=click.Choice(["segments", "windows"]),
    default="segments",
    show_default=True,
    help="With --window: join neighbours with the same answer, or give each window.",
)
@click.option("--raw", metavar="RATE[xCHANNELS]", help="Standard input holds raw 16-bit samples: --raw 16000, --raw 8000x2.")
@click.option(
    "--min-confidence", type=Number(min=0, max=1), default=0.0, help="Give no answer if the largest probability is below this."
)
@click.option(
    "--picture", type=Folder(made=True), help="Also draw each recording into this folder: its spectrogram next to the answer."
)
@click.option("--overwrite", is_flag=True, help="With --picture: replace existing pictures.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True)
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--encoders", type=Pairs(), help="STORE=NAME, or a folder, for an encoder whose weights have moved.")
@click.option(
    "--runtime",
    type=click.Choice(["torch", "onnx"]),
    help="Runtime of the heads; onnx needs a file of ser export onnx.  [default: by the file]",
)
@click.option("--device", default="cpu", show_default=True)
def command(
    session: Session,
    files: tuple[Path, ...],
    model: str,
    texts: Path | None,
    table: Path | None,
    window: float | None,
    hop: float | None,
    channels: str,
    vad: str | None,
    diarize: bool,
    speakers: int | None,
    speaker_encoder: str | None,
    smooth: float,
    rows: str,
    raw: str | None,
    min_confidence: float,
    picture: Path | None,
    overwrite: bool,
    form: str,
    weights: Path | None,
    encoders: dict[str, str] | None,
    runtime: str | None,
    device: str,
) -> None:
    """Predict the emotions of audio files (or folders of them), as a table, CSV or JSON lines.

    The exit code is 3 if a file cannot be used; its row gives the reason, which a table shows below its rows. A head that was
    trained on dialogues reads the files as one dialogue, in the order given, and each folder as one. Standard input (-) is one
    recording. With --window, a long recording or standard input is followed over time; JSON lines are written as soon as they
    are decided.

    \b
    ser predict new/*.wav --model fit-mine
    ser predict --list turns.csv --model results/EXPERIMENT/run-000.fold-official.safetensors
    sox new.flac -t wav - | ser predict - --model fit-mine
    ser predict call.wav --model fit-mine --window 4 --hop 1 --channels split --vad silero
    """
    from ser.audio.files import PIPE
    from ser.errors import ConfigError
    from ser.predict.inputs import files_to_follow, inputs_of_command

    # Before heads and encoders are loaded, for which torch alone takes seconds: a bad list is to cost none of them.
    early = window is None and Path(PIPE) not in files
    inputs = inputs_of_command(files, texts, table, False, channels, raw) if early else None
    heard = None if window is None else files_to_follow(files, texts or table, raw)
    from ser.predict.long_recordings import follow, only_with_window
    from ser.predict.onnx_head import check_runtime
    from ser.predict.predictions import abstain, as_text, check_confidence
    from ser.predict.predictor import Predictor
    from ser.predict.timeline import TimelineOptions
    from ser.results.records.find import find_heads, is_final

    apart = {"diarize": diarize, "speakers": speakers, "speaker_encoder": speaker_encoder}
    over_time = {"hop": hop, "vad": vad, "smooth": smooth, "rows": rows, **apart}
    options = None
    if window is None:
        only_with_window(over_time)
    elif picture is not None:
        raise ConfigError("--picture draws short recordings whole, and --window follows long ones", action="Leave one out.")
    else:
        given: dict[str, Any] = {name: value for name, value in apart.items() if value is not None}
        options = TimelineOptions(window, hop, channels, rows, smooth, min_confidence, vad or "", **given)
    heads = find_heads(model, session.workspace.results)
    check_runtime(runtime, heads[0])
    predictor = Predictor(heads, weights=weights, device=device, encoders=encoders, say=session.warn)
    used, final = predictor.files, is_final(predictor.files[0])
    if len(used) > 1 or final:
        whose = f"the mean of {len(used)} heads" if len(used) > 1 else "those of a head"
        on = ", trained on all utterances" if final else ""
        session.warn(f"the answers are {whose} in {used[0].parent}{on}")
    check_confidence(min_confidence, predictor.head.target)
    if options is None:
        if inputs is None or predictor.reads_dialogues:
            inputs = inputs_of_command(files, texts, table, predictor.reads_dialogues, channels, raw)
        drawn: list[Path] = []
        if picture is not None:
            from ser.predict.pictures import pictures, places

            drawn = places(inputs, picture, overwrite)
        found = abstain(predictor.answer(inputs), min_confidence)
        click.echo(as_text(found, form))
        if picture is not None:
            for path in pictures(predictor.head.target, inputs, found, drawn, predictor.head.about.scales or {}):
                session.warn(f"written: {path}")
        failed = bool((found["error"] != "").any())
    else:
        failed = False
        assert heard is not None
        for found in follow(predictor, heard, options, raw, row_by_row=form == "jsonl"):
            click.echo(as_text(found, form))
            failed |= bool((found["error"] != "").any())
    if failed:
        raise click.exceptions.Exit(3)
