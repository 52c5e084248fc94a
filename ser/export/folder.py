"""The folder of a model to hand on, written from an experiment's saved heads and its record."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

import ser
from ser.errors import ConfigError
from ser.export.card import model_card
from ser.export.origins import Origin, corpus_origin, encoder_origin, origins_of
from ser.files import require_folder, sha256_of
from ser.jsonfile import plain, write_json
from ser.metadata.parsing import few
from ser.metadata.targets import EMOTION, MIXED, VOTES, plugin
from ser.results.metrics.calibration import is_bound
from ser.results.metrics.evaluation import fit_temperatures
from ser.results.records.find import find_heads
from ser.results.records.names import ALL_ROWS, CONFIG, SHARED_FOLDS
from ser.results.result import Result
from ser.train.checkpoint import SavedHead, load_head, refuse_others
from ser.train.classical.classifier import Classical
from ser.train.heads._base import build_head, groups_of, part_of
from ser.train.model_folder import (
    CARD,
    Architecture,
    EncoderFacts,
    HeadEntry,
    LicenceFacts,
    ModelConfig,
    Normalisation,
    Outputs,
    Place,
    read_model_folder,
)
from ser.workspace import Workspace, replaceable, writing_folder


@dataclass(frozen=True, eq=False)
class Exported:
    """A folder that was written: its path, its `config.json`, what it rests on, and notes for its user."""

    path: Path
    config: ModelConfig
    origins: list[Origin]
    notes: list[str]


def export_folder(
    model: str, workspace: Workspace, output: Path, *, calibrate: bool = False, overwrite: bool = False
) -> Exported:
    """Write the folder of a model.

    Args:
        model: an experiment that saved its heads, or the file of one of them.
        output: the folder; there must be nothing, or with `overwrite` such a folder.
        calibrate: fit a temperature for each head on its recorded validation predictions.

    Raises:
        ConfigError: no such heads, heads that differ in what they answer, a folder that is in the way, or predictions to
            calibrate by are missing.
    """
    files = find_heads(model, workspace.results)
    if files[0].is_dir():
        raise ConfigError(
            f"{model} is already an exported folder", expected="an experiment, or the file of a head", action="Copy it."
        )
    refuse_other_content(output, overwrite)
    heads = [load_head(file) for file in files]
    refuse_others(files, heads)
    result = _record_of(files, heads)
    temperatures, notes = _temperatures(heads, result) if calibrate else ([None] * len(heads), [])
    record: dict[str, Any] = {} if result is None else plain(result.record)
    origins = origins_of(record) if record else _origins_of_head(heads[0])
    entries = [
        HeadEntry(
            file=file.name,
            sha256=sha256_of(file).hexdigest(),
            run=head.about.run,
            fold=head.about.fold,
            temperature=temperature,
        )
        for file, head, temperature in zip(files, heads, temperatures, strict=True)
    ]
    config = _config(heads, entries, origins)
    with writing_folder(output) as aside:
        for file in files:
            shutil.copyfile(file, aside / file.name)
        write_json(aside / CONFIG, config)
        (aside / CARD).write_text(model_card(config, origins, result, notes), encoding="utf-8")
        read_model_folder(aside)
    return Exported(output, config, origins, notes)


def refuse_other_content(output: Path, overwrite: bool) -> None:
    """Refuse to write where something else is.

    Raises:
        ConfigError: the folder that the program runs in, one that holds no model, or one that holds a model and more; without
            `overwrite` any model.
    """
    require_folder(output, or_file=True, made=True)  # a file is in the way, see below
    replaceable(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / CONFIG).is_file():
        raise ConfigError(f"{output} is in the way", expected="a folder that is not there yet", action="Name another one.")
    if not overwrite:
        raise ConfigError(f"{output} is there already", action="Name another folder, or write over it: --overwrite.")
    own = {CONFIG, CARD, *(head.file for head in read_model_folder(output).config.heads)}
    others = sorted(path.name for path in output.iterdir() if path.name not in own)
    if others:
        raise ConfigError(
            f"{output} holds more than a model, which --overwrite would remove",
            expected=f"{CONFIG}, {CARD} and the heads alone",
            found=few(others, 5),
            action="Move them elsewhere, or name another folder.",
        )


def _record_of(files: Sequence[Path], heads: Sequence[SavedHead]) -> Result | None:
    """The record of saved heads, which lies beside their folder; None where it is not there."""
    path = files[0].parent.parent / f"{files[0].parent.name}.json"
    if not path.is_file():
        return None
    result = Result.find(str(path), path.parent)
    stated = getattr(result.record, "config_hash", None)
    for file, head in zip(files, heads, strict=True):
        if stated != head.about.config_hash:
            raise ConfigError(
                f"{path} is not the record of {file}",
                expected=f"the configuration {head.about.config_hash}",
                found=stated,
                action="Train again with --save; a head that an earlier training left there can be removed.",
            )
    return result


def _temperatures(heads: list[SavedHead], result: Result | None) -> tuple[list[float | None], list[str]]:
    """The temperature of each head by its validation predictions, and what is to be said of them."""
    if heads[0].target not in (EMOTION, MIXED, VOTES):
        raise ConfigError(
            f"--calibrate is of heads on classes, and this model learned {heads[0].target}", action="Leave --calibrate out."
        )
    if result is None:
        raise ConfigError("--calibrate needs the record of the heads, with their validation predictions beside it")
    rows = result.predictions.astype({"run": int, "fold": str})
    rows = rows[rows["split"] == "validation"]
    values = [_temperature(head, rows[rows["run"] == head.about.run], result.classes) for head in heads]
    whose = {
        "all": "its run (the middle of its folds')",
        "source": "its run on the source corpus",
        "folds": "its run and fold",
    }[_rows_of(heads[0])]
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    each = "temperature" if len(values) == 1 else "temperature for each head"
    notes = [
        f"Probabilities are calibrated by one {each} ({low if low == high else f'{low} to {high}'}), fitted on the validation "
        f"predictions of {whose}: it changes no single head's prediction."
    ]
    if any(map(is_bound, values)):
        notes.append("A temperature is at the end of its range: that head's validation part says little.")
    return [*values], notes


def _temperature(head: SavedHead, rows: pd.DataFrame, classes: Sequence[str]) -> float:
    """The temperature of a head, from the validation predictions of its run."""
    run, fold = head.about.run, head.about.fold
    if fold in SHARED_FOLDS:  # each fold recorded the same predictions, on the validation part of the source
        rows = rows.drop_duplicates("utterance_id").assign(fold=fold)
    elif fold != ALL_ROWS:
        rows = rows[rows["fold"] == fold]
    if not len(rows):
        raise ConfigError(
            f"--calibrate has nothing to fit the temperature of run {run}, fold {fold} on",
            expected="validation predictions of it in the record",
            found="none",
            action="Train again with --save, or leave --calibrate out.",
        )
    return median(fit_temperatures(rows, classes).values())


def _rows_of(head: SavedHead) -> str:
    """The rows that a head was trained on, as `config.json` names them."""
    fold = head.about.fold
    return "all" if fold == ALL_ROWS else "source" if fold in SHARED_FOLDS else "folds"


def _origins_of_head(head: SavedHead) -> list[Origin]:
    corpora = [corpus_origin(name, {}) for name in head.about.dataset.split("+")]
    return [*corpora, *(encoder_origin(str(s["encoder"]), s["identity"]) for s in head.about.stores.values())]


def _config(heads: list[SavedHead], entries: list[HeadEntry], origins: list[Origin]) -> ModelConfig:
    first = heads[0]
    about, recipe = first.about, first.config
    return ModelConfig(
        ser=ser.__version__,
        experiment=about.experiment,
        trained_on=sorted({name for head in heads for name in head.about.dataset.split("+")}),
        trained_rows=_rows_of(first),
        stamps=list(dict.fromkeys(stamp for head in heads for stamp in head.about.stamps)),
        outputs=Outputs(
            target=first.target,
            names=[*first.classes, *first.dimensions],
            activation=plugin(first.target).OUTPUT,
            scales=about.scales,
        ),
        inputs=[_input(first, k) for k in range(len(first.inputs))],
        normalisation=Normalisation(by=about.normalize, limit=about.limit),
        architecture=Architecture(
            head=recipe.head,
            options=plain(dict(recipe.head_options)),
            snapshots=1 if isinstance(recipe, Classical) else recipe.snapshots,
        ),
        weights=[] if isinstance(recipe, Classical) else _places(first),
        licences=[
            LicenceFacts(kind=origin.kind, name=origin.name, licence=origin.licence)
            for origin in origins
            if origin.kind in ("corpus", "encoder")
        ],
        heads=entries,
    )


def _input(head: SavedHead, number: int) -> EncoderFacts:
    source = head.inputs[number]
    store = head.about.stores[source.name]
    identity = store["identity"]
    return EncoderFacts(
        name=source.name,
        modality=source.modality,
        dim=source.dim,
        framewise=source.framewise,
        layers=source.layers,
        vocabulary=source.vocabulary,
        encoder=str(store["encoder"]),
        plugin=identity.get("plugin"),
        model=identity.get("model"),
        revision=identity.get("revision"),
        weights_sha256=identity.get("weights_sha256"),
        level=identity.get("level"),
        layer_numbers=identity.get("layers"),
        pooling=identity.get("pooling"),
        window=identity.get("window"),
        sample_rate=identity.get("sample_rate"),
        licence=encoder_origin(str(store["encoder"]), identity).licence,
    )


def _places(head: SavedHead) -> list[Place]:
    """The places of all weights of a head in its flat vectors, in their order; buffers lie behind the parameters."""
    part = part_of(head.config.head)
    found = []
    for number, inputs in enumerate(groups_of(head.config.head, head.inputs)):
        with torch.device("meta"):
            made = build_head(part, inputs, len(head.classes) + len(head.dimensions), dict(head.config.head_options), 0)
        offset = 0
        for name, weight in [*made.named_parameters(), *made.named_buffers()]:
            found.append(Place(part=number, name=name, shape=list(weight.shape), offset=offset))
            offset += weight.numel()
    return found
