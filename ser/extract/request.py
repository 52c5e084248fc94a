"""The options of `ser extract`, and the encoders that they mean for a dataset."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ser import registry
from ser.errors import ConfigError, CorpusError, EncoderError
from ser.extract.encoder import ENCODERS, Encoder, ViewedEncoder, find, load, refuse_other_modality
from ser.extract.extraction import extract
from ser.extract.options import PUBLISHED, STATISTICS, EncoderOptions
from ser.extract.store_update import ExtractionReport
from ser.extract.views.recordings import open_folder
from ser.extract.views.view import AudioView, make_views
from ser.features.stores.names import JOINT
from ser.metadata.build import ensure_table
from ser.metadata.labels import load_scheme
from ser.metadata.table import Table
from ser.metadata.texts import text_sources
from ser.workspace import Workspace

DEFAULT_AUDIO, DEFAULT_TEXT = "emotion2vec", "bert"


@dataclass(frozen=True)
class ExtractionRequest:
    """The options of one call; see `EncoderOptions` and `extract`.

    Attributes:
        audio, text: encoder names; where neither is given, the defaults that the dataset has sources for.
        layers: see `EncoderOptions`; None: those that the encoder's plugin keeps by default.
        text_source: the source of the text; see `ser.metadata.texts.text_sources`.
        views: augmented views of the audio, made beside the features of the audio as it is; see `policies.names`.
        noise_folder, impulses: recordings that views are made with; None: white noise, and simulated rooms.
        view_seed: of what views draw.
        view_scheme: label scheme of class-differentiated views.
        window: of audio; see `EncoderOptions`.
    """

    audio: list[str] | None = None
    text: list[str] | None = None
    level: str | None = None
    layers: str | tuple[int, ...] | None = None
    pooling: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    jobs: int = 1
    shard: tuple[int, int] = (0, 1)
    weights: Path | None = None
    revision: str | None = None
    overwrite: bool = False
    batch_seconds: float | None = None
    store_dtype: str = "float32"
    verify: int = 0
    text_source: str = text_sources.CORPUS
    views: list[str] | None = None
    noise_folder: Path | None = None
    impulses: Path | None = None
    view_seed: int = 0
    view_scheme: str = "4"
    window: str = PUBLISHED

    def encoders(self, table: Table) -> list[tuple[str, str]]:
        """`(modality, name)` of each encoder to run."""
        if self.audio or self.text:
            named = [*(("audio", n) for n in self.audio or []), *(("text", n) for n in self.text or [])]
            return [(modality, registry.resolve(ENCODERS, name)) for modality, name in named]
        audio = [("audio", DEFAULT_AUDIO)] if table.has("path") else []
        return [*audio, *([("text", DEFAULT_TEXT)] if table.has("text") else [])]

    def options(self, plugin: ModuleType, announce: Callable[[str], None] | None = None) -> EncoderOptions:
        """The options of an encoder, given its plugin.

        Layers that are not given are those that the plugin keeps of an utterance; frames are of one layer. Pooling but
        `mean,std` is of text, where there is a text encoder; windows are of audio.
        """
        modality = plugin.MODALITY
        kept = getattr(plugin, "LAYERS", "last") if (self.level or plugin.LEVELS[0]) == "utterance" else "last"
        pooling = self.pooling if modality == "text" or not self.text or self.pooling == STATISTICS else None
        return EncoderOptions(
            self.level,
            kept if self.layers is None else self.layers,
            pooling,
            self.device,
            self.dtype,
            self.weights,
            self.revision,
            self.batch_seconds,
            window=self.window if modality == "audio" or not self.audio else PUBLISHED,
            announce=announce,
        )


@dataclass(frozen=True)
class Extraction:
    """A request for one dataset.

    Attributes:
        dataset: its name.
        root: the corpus folder; None where its table is there already.
        request: the stores to make, and how.
        workspace: of the table and the stores.
        quiet: true shows no progress.
    """

    dataset: str
    root: Path | None
    request: ExtractionRequest
    workspace: Workspace
    quiet: bool = True


def extract_dataset(
    asked: Extraction, say: Callable[[str], None], cache: dict[tuple[str, str], Encoder]
) -> Iterator[ExtractionReport]:
    """Make the table if there is none yet, then every store that the request names; yields one report per store.

    Args:
        cache: encoders that are loaded; filled.

    Raises:
        ConfigError: an unknown encoder, or an option that means nothing to any of them; nothing is extracted then.
        EncoderError: an encoder that cannot be loaded; after the others are done.
    """
    table, source, wanted, views = checked(asked, say)
    request = asked.request
    encoders: list[Encoder] = []
    unloaded: EncoderError | None = None
    unused: defaultdict[str, list[ConfigError]] = defaultdict(list)
    for modality, name in wanted:
        try:
            encoder = _loaded(name, modality, request, cache, say, unused if len(wanted) > 1 else None)
            encoders.append(_of_source(encoder, source, asked) if modality == "text" else encoder)
        except EncoderError as error:  # the others are extracted first
            unloaded = unloaded or error
    if unloaded is not None and not encoders:
        raise unloaded
    for option, refused in unused.items():
        given = [getattr(request.options(_plugin(name, modality)), option) for modality, name in wanted]
        if len(refused) == sum(value != getattr(EncoderOptions, option) for value in given):
            raise refused[0]
        for one in refused:
            say(f"{one.problem} is left out, as it has none")
    viewed = [ViewedEncoder(encoder, view) for encoder in encoders if encoder.modality == "audio" for view in views]
    yield from extract(
        table,
        [*encoders, *viewed],
        asked.workspace,
        jobs=request.jobs,
        shard=request.shard,
        check=request.verify,
        quiet=asked.quiet,
        overwrite=request.overwrite,
        say=say,
    )
    if unloaded is not None:
        raise unloaded


def checked(asked: Extraction, say: Callable[[str], None]) -> tuple[Table, str, list[tuple[str, str]], list[AudioView]]:
    """Make the table if there is none yet, and check the request against it, before hours are spent.

    Returns:
        The table, with the text of its source; that source; `(modality, name)` of each encoder; the views of the audio.

    Raises:
        ConfigError: an unknown encoder, or options that do not fit.
        CorpusError: there is nothing to extract features of.
    """
    dataset, workspace, request = asked.dataset, asked.workspace, asked.request
    table = ensure_table(dataset, workspace, asked.root, say=say, quiet=asked.quiet)
    source = text_sources.resolve(request.text_source, dataset, workspace)
    table = text_sources.table_with_text(table, source, workspace)
    wanted = request.encoders(table)
    if not wanted:
        raise CorpusError(
            f"{dataset} has neither audio nor text to extract features of",
            found=f"stores {', '.join(workspace.stores(dataset)) or 'none'}, table {workspace.table(dataset)}",
            action="Imported features are added to by ser store import.",
        )
    for modality, name in wanted:
        if request.revision is not None and len(wanted) > 1:
            raise ConfigError("--revision is a commit of one model", expected="NAME@REVISION where there are several")
        plugin = _plugin(name, modality)
        refuse_other_modality(name, modality, plugin)
    if not (request.audio or request.text):
        say(f"{dataset}: encoders {', '.join(name for _, name in wanted)} (choose others with --audio and --text)")
    if source != text_sources.CORPUS and not any(modality == "text" for modality, _ in wanted):
        raise ConfigError(f"--text-source {source} is for text", expected="a text encoder: --text NAME")
    views = _views(request, table, [modality for modality, _ in wanted])
    return table, source, wanted, views


def _views(request: ExtractionRequest, table: Table, modalities: list[str]) -> list[AudioView]:
    """The augmented views that the request names."""
    words = request.views or []
    if words and "audio" not in modalities:
        raise ConfigError("--views are of audio, and there is no audio encoder", expected="--audio NAME")
    for option, folder in (("--noise-folder", request.noise_folder), ("--impulses", request.impulses)):
        if folder is not None and not words:
            raise ConfigError(f"{option} is for --views", expected="--views noise15, reverb, ...")
    if not words and (request.view_seed, request.view_scheme) != (0, "4"):
        raise ConfigError("--view-seed and --view-scheme are for --views", expected="--views random1, classwise1, ...")
    return make_views(
        words,
        request.view_seed,
        None if request.noise_folder is None else open_folder(request.noise_folder, "--noise-folder"),
        None if request.impulses is None else open_folder(request.impulses, "--impulses"),
        load_scheme(request.view_scheme, table.frame),
    )


def _plugin(name: str, modality: str) -> ModuleType:
    return find(name.partition("@")[0] if not Path(name).exists() else name, modality)


def _loaded(
    name: str,
    modality: str,
    request: ExtractionRequest,
    cache: dict[tuple[str, str], Encoder],
    say: Callable[[str], None],
    unused: dict[str, list[ConfigError]] | None,
) -> Encoder:
    """An encoder, loaded once for all corpora; one that is made from the corpus is loaded for each.

    Args:
        unused: gets the errors of options that it has not, by option, which it is loaded without; None: it is the only one.
    """
    encoder, options = cache.get((modality, name)), request.options(_plugin(name, modality), say)
    while encoder is None:
        try:
            encoder = load(name, modality, options)
        except ConfigError as error:
            default: Any = getattr(EncoderOptions, error.option, None)
            if unused is None or getattr(options, error.option, default) == default:
                raise
            unused[error.option].append(error)
            options = replace(options, **{error.option: default})
    if request.store_dtype != "float32" and (encoder.level != "frame" or encoder.vocabulary):
        raise ConfigError(f"--store-dtype {request.store_dtype} is for frames of numbers", expected="--level frame")
    encoder.store_dtype = request.store_dtype
    if not encoder.of_corpus:
        cache[modality, name] = encoder
    return encoder


def _of_source(encoder: Encoder, source: str, asked: Extraction) -> Encoder:
    """The encoder for another text than the table's, with its own store and identity."""
    if source == text_sources.CORPUS:
        return encoder
    other = copy.copy(encoder)
    short, dot, suffix = encoder.name.partition(".")
    other.name = f"{short}{JOINT}{source}{dot}{suffix}"
    other.identity = {**encoder.identity, "text_source": text_sources.identity(source, asked.dataset, asked.workspace)}
    return other
