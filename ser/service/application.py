"""The application: the API of heads and the page, made of `limits`, `uploads` and `batching`."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any, Literal

import anyio
from anyio import to_thread
from fastapi import FastAPI, File, Query, Request, Security, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from msgspec import UNSET
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import ser
from ser.errors import AudioError, ConfigError, SerError
from ser.predict.predictor import Predictor
from ser.predict.timeline import TimelineOptions, refuse_heads
from ser.predict.turns import Diarizer
from ser.registry import unknown
from ser.service.batching import Batcher, ServiceEndsError
from ser.service.guard import Guard, failure
from ser.service.limits import ServiceLimits
from ser.service.metrics import Metrics
from ser.service.uploads import Question, Uploads

USUAL = ServiceLimits()
ANSWERING = 64  # uploads that get one answer at the same moment
TIMELINES = 8  # that are made at the same moment: each may keep a decoded file of 256 MiB or more on disk
PAGE = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
PATHS = ("/predict", "/models", "/health", "/metrics", "/openapi.json", *PAGE)
_EXPECTED = {
    "file": "a file in the form field file: curl -F file=@a.wav",
    "channels": "mix, split, or the number of one, from 0",
}
PARAMETERS = (  # of POST /predict
    "model",
    "window",
    "hop",
    "channels",
    "rows",
    "smooth",
    "min_confidence",
    "diarize",
    "speakers",
)
_OPTION = re.compile(r"--([a-z][a-z-]*)(?: (?=[0-9]|split\b|N\b))?")


class Failure(BaseModel):
    """An error."""

    error: str = Field(description="What is wrong, what was expected, what was found, what to do; in one line.")


class ModelFacts(BaseModel):
    """A head."""

    name: str
    target: str = Field(description="emotion, votes, labels, dimensions, or mixed: emotion and dimensions")
    classes: list[str] = Field(description="In the order of the probabilities; of dimensions their names.")
    dimensions: list[str] = Field(description="Of a head on both, the dimensions that follow its classes.")
    scales: dict[str, list[float]] = Field(description="Of dimensions, the ends of their scales where they are known.")
    heads: int = Field(description="Heads whose mean is the answer.")
    dataset: str = Field(description="The corpora that it was trained on.")
    encoders: list[str]
    seconds: list[float] | None = Field(
        description="Lengths of the utterances in training: shortest, median, longest, of several heads those that all know; "
        "null where they are not known."
    )
    stamps: list[str] = Field(description="Warnings on the data that it was trained on.")


class Models(BaseModel):
    """The heads, the first of which answers where none is named, and the limits of the service."""

    models: list[ModelFacts]
    most_bytes: int
    most_seconds: float
    diarize: Literal["no", "with speakers", "yes"] = Field(
        description="Whether speakers can be told apart: not at all, where their number is given, or also without it."
    )


class Prediction(BaseModel):
    """The answer to an upload."""

    model: str
    rows: list[dict[str, str | float | int]] = Field(
        description="One row; of a timeline one for each segment or window. As `ser predict --format jsonl` writes them."
    )
    notes: list[str] = Field(description="Warnings, as of a recording far longer than those in training.")


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok"]
    version: str
    models: list[str]


_MEANINGS = {
    400: "The request is damaged.",
    401: "The token is missing, or another one.",
    404: "There is no such head.",
    408: "The request did not come to its end in time.",
    413: "The upload or the recording is larger than the limit.",
    422: "The recording cannot be used, or a parameter does not fit.",
    429: "Too many requests of one client.",
    500: "A fault of the service.",
    503: "Too many uploads wait, or the service ends.",
}


def _failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure, "description": _MEANINGS[status]} for status in statuses}


def application(
    predictors: Mapping[str, Predictor], limits: ServiceLimits = USUAL, diarizer: Diarizer | None = None
) -> FastAPI:
    """Make the application.

    Args:
        predictors: the heads by name; the first answers where a request names none.
        limits: of uploads and clients.
        diarizer: tells speakers apart; None where that is not offered.

    Raises:
        ConfigError: no head, or one that cannot answer a recording by itself.
    """
    if not predictors:
        raise ConfigError("no head to serve", expected="--model NAME, one or several")
    for predictor in predictors.values():
        refuse_heads(predictor)
    metrics = Metrics()
    batcher = Batcher(predictors, metrics.batches.observe)
    uploads = Uploads(batcher, limits.seconds, diarizer)
    apart: Literal["no", "with speakers", "yes"] = "no"
    if diarizer is not None:
        apart = "yes" if diarizer.knows_limit else "with speakers"
    known = Models(
        models=[_facts(name, predictor) for name, predictor in predictors.items()],
        most_bytes=limits.bytes,
        most_seconds=limits.seconds,
        diarize=apart,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(batcher.close)

    app = FastAPI(
        title="ser",
        summary="Emotions of speech.",
        version=ser.__version__,
        docs_url=None,  # these pages would load files from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=_failures(*([401] if limits.token else []), 500),
    )
    _add_errors(app)
    for path, (name, kind) in PAGE.items():
        content = (files("ser.service") / "page" / name).read_bytes()
        app.add_api_route(path, _constant(content, kind), include_in_schema=False)
    locked = [Security(HTTPBearer(auto_error=False))] if limits.token else []
    _add_facts(app, known, batcher, metrics, locked)
    _add_predict(app, predictors, uploads, locked)
    app.add_middleware(Guard, limits=limits, seen=metrics.seen, paths=PATHS, uploads=metrics.waiting.set)
    if limits.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=limits.cors, allow_methods=["GET", "POST"], allow_headers=["Authorization"]
        )
    return app


def _add_facts(app: FastAPI, known: Models, batcher: Batcher, metrics: Metrics, locked: Sequence[Any]) -> None:
    @app.get("/models", dependencies=locked)
    async def models() -> Models:
        """The heads that answer."""
        return known

    @app.get("/health", responses=_failures(503))
    async def health() -> Health:
        """The state of the service; needs no token."""
        if not batcher.alive:
            raise HTTPException(503, "the thread that answers has ended. Start the service again.")
        return Health(status="ok", version=ser.__version__, models=[model.name for model in known.models])

    @app.get(
        "/metrics",
        dependencies=locked,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def counts() -> Response:
        """Counts in Prometheus's text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _facts(name: str, predictor: Predictor) -> ModelFacts:
    about = predictor.head.about
    scales, known = {} if about.scales is UNSET else about.scales, predictor.durations
    return ModelFacts(
        name=name,
        target=predictor.head.target,
        classes=predictor.classes,
        dimensions=list(predictor.dimensions),
        scales={key: [scale["low"], scale["high"]] for key, scale in scales.items()},
        heads=predictor.averaged,
        dataset=about.dataset,
        encoders=[encoder.name for encoder in predictor.encoders],
        seconds=None if known is None else [known.min, known.median, known.max],
        stamps=about.stamps,
    )


def _add_predict(app: FastAPI, predictors: Mapping[str, Predictor], uploads: Uploads, locked: Sequence[Any]) -> None:
    alone, over_time = anyio.CapacityLimiter(ANSWERING), anyio.CapacityLimiter(TIMELINES)

    @app.post(
        "/predict",
        dependencies=locked,
        responses=_failures(400, 404, 408, 413, 422, 429, 503),
        response_model_exclude_none=True,
    )
    async def predict(
        request: Request,
        file: Annotated[UploadFile, File(description="A recording in any format that `ser predict` reads.")],
        model: Annotated[
            str | None, Query(description="The name of a head, or its beginning; the first head where none is given.")
        ] = None,
        window: Annotated[float | None, Query(gt=0, description="s that are heard at once: gives a timeline.")] = None,
        hop: Annotated[float | None, Query(gt=0, description="s between two windows; a quarter of the window.")] = None,
        channels: Annotated[
            str, Query(pattern="^(mix|split|[0-9]{1,3})$", description="mix, split (of a timeline), or one from 0.")
        ] = "mix",
        rows: Annotated[
            Literal["segments", "windows"], Query(description="Of a timeline: neighbours joined, or each window.")
        ] = "segments",
        smooth: Annotated[float, Query(ge=0, le=60, description="s of a moving average over segments.")] = 0.0,
        min_confidence: Annotated[float, Query(ge=0, le=1, description="No answer below this probability.")] = 0.0,
        diarize: Annotated[
            bool, Query(description="Of a timeline: tell speakers apart, where GET /models says that it can be done.")
        ] = False,
        speakers: Annotated[int | None, Query(ge=1, le=50, description="Of diarize: their number.")] = None,
    ) -> Prediction:
        """Predict the emotions of an upload: one answer, or with `window` a timeline."""
        await _refuse_unknown(request, PARAMETERS)
        name = _named(model, list(predictors))
        options = None
        if window is not None:
            options = TimelineOptions(window, hop, channels, rows, smooth, min_confidence, diarize=diarize, speakers=speakers)
        elif hop is not None or smooth or rows != "segments" or diarize or speakers is not None:
            raise ConfigError(
                "hop, rows, smooth, diarize and speakers are of a timeline",
                expected="window too, the seconds that are heard at once",
            )
        question = Question(name, channels, min_confidence, options)
        threads = alone if options is None else over_time
        answer = await to_thread.run_sync(uploads.answer, file.file, file.filename or "", question, limiter=threads)
        return Prediction(model=name, rows=answer[0], notes=[_as_asked(note, PARAMETERS) for note in answer[1]])


def _named(model: str | None, names: Sequence[str]) -> str:
    """The head that a request asks for, by its name or the beginning of it, as `--model` is; the first where it names none.

    Raises:
        HTTPException: none is called so, or several begin so.
    """
    if model is None or model in names:
        return names[0] if model is None else model
    begin = [name for name in names if model and name.startswith(model)]
    if len(begin) > 1:
        raise HTTPException(
            404, ConfigError(f"{model!r} begins {len(begin)} models", expected=f"one of {', '.join(begin)}").line()
        )
    if not begin:
        raise HTTPException(404, unknown("model", model, list(names)).line())
    return begin[0]


def _as_asked(text: str, names: Sequence[str] | None = None) -> str:
    """Options of the command line as parameters of a request: `--window 4` as `window=4`; those of `names`, or all."""

    def parameter(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return found[0] if names is not None and name not in names else name + "=" * found[0].endswith(" ")

    return _OPTION.sub(parameter, text)


async def _refuse_unknown(request: Request, known: tuple[str, ...]) -> None:
    """Refuse parameters that would not be read, as one that is misspelt or stands in the form, and a second file."""
    strange = next((key for key in request.query_params if key not in known), None)
    if strange is not None:
        raise unknown("parameter", strange, known)
    parts = [key for key, _ in (await request.form()).multi_items()]
    if parts != ["file"]:
        other = next((key for key in parts if key != "file"), None)
        raise ConfigError(
            "the form of a request",
            expected="one field, file; parameters stand in the address: /predict?model=NAME",
            found="several files" if other is None else f"the field {other[:100]!r}",
        )


def _constant(content: bytes, kind: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=f"{kind}; charset=utf-8")

    return answer


def _add_errors(app: FastAPI) -> None:
    """Answer every error as JSON in one line."""

    @app.exception_handler(SerError)
    async def of_ser(_: Request, error: SerError) -> JSONResponse:
        if isinstance(error, ServiceEndsError):
            return failure(503, error.line(), {"Retry-After": "10"})
        if not isinstance(error, AudioError | ConfigError):
            raise error  # no fault of the request: 500, and the server logs its traceback
        fault = error.fault if isinstance(error, AudioError) else ""
        if fault in ("undecodable", "needs-ffmpeg") and error.action is not None:
            error.action = "Send it as wav, flac, ogg or mp3."  # ours is for who runs the program
        return failure(413 if fault == "too-long" else 422, _as_asked(error.line()))

    @app.exception_handler(RequestValidationError)
    async def of_parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        return failure(422, " ".join("; ".join(_problem(one) for one in error.errors()).split()))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        text = str(error.detail)
        if error.status_code == 404 and text == "Not Found":
            text = f"there is nothing at {request.url.path[:100]}; expected one of {', '.join(PATHS)}"
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another")
            text = f"{request.url.path} does not know {request.method}; expected {allowed}"
        if error.status_code == 400:
            kind = request.headers.get("content-type", "no type").split(";")[0][:100]
            said = f"the request is damaged: {text.rstrip('.')}" if kind == "multipart/form-data" else f"the body is of {kind}"
            text = f"{said}; expected a form, multipart/form-data, with the field file, as curl -F file=@a.wav sends it"
        return failure(error.status_code, text, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def of_service(_: Request, __: Exception) -> JSONResponse:  # the server logs its traceback
        return failure(500, "the service failed at this request; its log has the reason. Try another recording.")


def _problem(error: Mapping[str, Any]) -> str:
    """One parameter that does not fit, in words."""
    place = " ".join(str(part) for part in error["loc"] if part not in ("query", "body"))
    found = error.get("input")
    shown = f"; found {str(found)[:100]!r}" if isinstance(found, str | int | float) else ""
    expected = _EXPECTED.get(place) or str(error["msg"]).removeprefix("Input should be ")
    what = f"the request has no {place}" if error["type"] == "missing" else place or "the request"
    return f"{what}; expected {expected}{shown}"
