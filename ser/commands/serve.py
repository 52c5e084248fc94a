"""`ser serve`: a service with an API and a page."""

from pathlib import Path

import click

from ser.commands._base import Command, Session
from ser.commands._types import Folder, Number, Pairs, Whole


@click.command("serve", cls=Command)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="NAME|FILE",
    help="As for ser predict. May be repeated: a request names one; the first is the default.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all addresses.")
@click.option("--port", type=Whole(0, 65535), default=8000, show_default=True, help="Port to listen on; 0: any free port.")
@click.option(
    "--max-bytes", type=Whole(min=1, largest=2**62), default=32 * 2**20, show_default=True, help="Size limit of an upload."
)
@click.option(
    "--max-seconds",
    type=Number(min=0, max=86400, min_open=True),
    default=300.0,
    show_default=True,
    help="Length limit of a recording.",
)
@click.option(
    "--rate", type=Number(min=0), default=0.0, help="Predictions per minute that one client may request.  [default: no limit]"
)
@click.option("--token", default="", envvar="SER_TOKEN", help="A word that clients must send: Authorization: Bearer WORD.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="A site whose pages may send requests. May be repeated.")
@click.option("--proxy", "proxies", multiple=True, metavar="ADDRESS", help="A proxy that names its clients in X-Forwarded-For.")
@click.option("--weights", type=Folder(), help="Folder of models, searched before the cache and the network.")
@click.option("--encoders", type=Pairs(), help="STORE=NAME, or a folder, for an encoder whose weights have moved.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--diarize", is_flag=True, help="Tell speakers apart if a request asks for it (pip install 'ser[vad]').")
@click.option(
    "--speaker-encoder",
    metavar="NAME|FOLDER",
    help="With --diarize: encoder whose features tell speakers apart.  [default: campplus-zh-en]",
)
def command(
    session: Session,
    models: tuple[str, ...],
    host: str,
    port: int,
    max_bytes: int,
    max_seconds: float,
    rate: float,
    token: str,
    cors: tuple[str, ...],
    proxies: tuple[str, ...],
    weights: Path | None,
    encoders: dict[str, str] | None,
    device: str,
    diarize: bool,
    speaker_encoder: str | None,
) -> None:
    """Answer uploads over HTTP with saved heads, and serve a page that records and plots (pip install 'ser[serve]').

    Ctrl-C ends it once pending requests are answered.

    \b
    ser serve --model fit-mine
    ser serve --model fit-mine --model fit-other --host 0.0.0.0 --token WORD --rate 60
    """
    from ser.errors import ConfigError
    from ser.predict.turns import CAMPPLUS
    from ser.service.limits import ServiceLimits
    from ser.service.server import Address, load_diarizer, load_predictors, serve

    if speaker_encoder and not diarize:
        raise ConfigError("--speaker-encoder", expected="--diarize beside it", option="speaker_encoder")
    limits = ServiceLimits(max_bytes, max_seconds, rate, token, cors)
    predictors = load_predictors(models, session.workspace.results, weights, device, encoders or {}, session.warn)
    diarizer = load_diarizer(speaker_encoder or CAMPPLUS, weights, device, session.warn) if diarize else None
    where = Address(host, port, proxies)
    serve(predictors, limits, where, session.warn, diarizer=diarizer, quiet=session.quiet)
