"""The sections of a report on an evaluation, by itself or as part of the report on its experiment."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.errors import SerError
from ser.jsonfile import check, read_object
from ser.results.plotting.gallery import draw, kinds
from ser.results.records.explanations import Explanations
from ser.results.records.find import OF_ANOTHER, read_any
from ser.results.records.names import EVALUATION_SCHEMA
from ser.results.records.result import Source
from ser.results.report import evaluation_tables as tables
from ser.results.report.blocks import Block, Command, Facts, Image, Notice, Section, Text, table_of
from ser.results.report.evaluation_text import average_lines, facts, votes_line
from ser.results.report.provenance import flat
from ser.results.report.summary import warnings
from ser.results.report.tables import interval, number


def evaluations_of(source: Source) -> list[Section]:
    """A section for each evaluation that lies beside a summary; what is not of this very summary is named and left out."""
    name = source.path.name.removesuffix(".json")
    found, left = [], []
    for path in sorted(source.path.parent.glob(f"{name}{OF_ANOTHER}-*.json")):
        try:
            record = read_any(path)
        except SerError as error:
            left.append(error.line())
            continue
        if record["schema"] != EVALUATION_SCHEMA:
            continue
        if record["model"]["config_hash"] != source.result["config_hash"]:
            left.append(f"{path.name} is of another configuration")
            continue
        asked = path.name.removesuffix(".json").removeprefix(f"{name}{OF_ANOTHER}-")
        inner = evaluation_sections(Source(path, record))
        found.append(Section(f"Evaluation: {asked}", inner[0].blocks, inner[1:]))
    return [*found, *([Section("Evaluations left out", [Notice("Not shown", left)])] if left else [])]


def evaluation_sections(source: Source) -> list[Section]:
    """Headline and scores; calibration, abstention, novelty, gaps, votes and explanations where there are such."""
    record = source.result
    pictures = {kind: draw(source, kind) for kind in kinds(source)}
    made = {
        "Result": _result(source),
        "Calibration": [pictures["reliability"], *_calibration(record)],
        "Abstention": [pictures["coverage"], *_abstention(record)],
        "Novelty": [pictures["novelty"], *_novelty(record)] if record["novelty"] else [],
        "Gaps": [pictures["gaps"], *_gaps(record["groups"])] if any(record["groups"].values()) else [],
        "Votes": _votes(record["votes"]),
        "Explanations": _explanations(source),
        "How to evaluate again": _again(source),
    }
    return [Section(title, blocks) for title, blocks in made.items() if blocks]


def _result(source: Source) -> list[Block]:
    record = source.result
    ua, data = record["scores"]["UA"], record["data"]
    over = f" (95 % over speakers {interval(ua['ci_95_speakers'])})" if ua.get("ci_95_speakers") else ""
    classes = len(data["classes"])
    size = f"{data['utterances']} utterances, {classes} classes, {tables.units_of(record)}"
    lead = f"UA {number(ua['mean'])}{over} on {data['dataset']}: {size}. Chance is {number(1 / classes)}."
    blocks: list[Block] = [
        Text(lead, lead=True),
        *warnings({"stamps": record["stamps"]}),
        *([Notice("Notes", record["notes"])] if record["notes"] else []),
        table_of("Scores", tables.score_rows(record), note=f"Mean ± std over {record['unit']}s."),
    ]
    paired = tables.paired_rows(record)
    if paired:
        blocks.append(table_of("What averaging changes, on the same utterances", paired, note=tables.P_NOTE))
    return [*blocks, *(Text(line) for line in average_lines(record)), _classes(record)]


def _classes(record: dict[str, Any]) -> Block:
    matrix = record["confusion_matrix"]
    rows = [["true \\ predicted", *matrix["labels"], "recall", "precision", "F1"]]
    for name, counts in zip(matrix["labels"], matrix["counts"], strict=True):
        own = record["per_class"][name]
        rows.append([name, *map(str, counts), *(number(own[m]) for m in ("recall", "precision", "F1"))])
    return table_of(f"Confusions and scores of each class, over all {record['unit']}s", rows)


def _calibration(record: dict[str, Any]) -> list[Block]:
    rows, note = tables.probability_rows(record), tables.probability_note(record)
    lines = tables.temperature_lines(record) or ["No temperature was asked for: ser evaluate --calibrate."]
    points = table_of("The points of the diagrams", tables.reliability_rows(record))
    return [table_of("Probabilities", rows, note=note), *map(Text, lines), replace(points, closed=True)]


def _abstention(record: dict[str, Any]) -> list[Block]:
    return [
        table_of("Accuracy on the surest utterances", tables.accuracy_rows(record), note=tables.area_line(record)),
        table_of("Risk asked for, and what comes of it", tables.risk_rows(record)),
    ]


def _novelty(record: dict[str, Any]) -> list[Block]:
    return [
        table_of(
            f"Known utterances against {e['novel']}",
            tables.novelty_rows(e),
            note=". ".join([tables.novelty_line(e), *e["notes"]]),
        )
        for e in record["novelty"]
    ]


def _gaps(groups: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    if groups["gender"]:
        rows, note = tables.gender_rows(groups["gender"]), tables.gender_note(groups["gender"])
        blocks.append(table_of("Genders", rows, note=note))
    if groups["speaker"]:
        blocks += [Text(line) for line in tables.speaker_lines(groups["speaker"])[1:]]
        note = tables.speaker_lines(groups["speaker"])[0]
        speakers = table_of("Speakers, lowest first", tables.speaker_rows(groups["speaker"]), note=note)
        blocks.append(replace(speakers, closed=True))
    return blocks


def _votes(found: dict[str, Any] | None) -> list[Block]:
    if found is None:
        return []
    return [
        table_of("Head and annotators against the label", tables.vote_rows(found), note=votes_line(found)),
        table_of("Predictions and the annotators' votes", tables.distance_rows(found)),
        *map(Text, tables.vote_lines(found)),
    ]


def _explanations(source: Source) -> list[Block]:
    """The pictures of `ser evaluate --explain`; what is no longer there is said."""
    if source.result["explanations"] is None:
        return []
    file = source.path.parent / source.result["explanations"]
    try:
        found = read_object(file, "explanations")
        check(found, Explanations, file)
    except SerError as error:
        return [Notice("Explanations that cannot be shown", [error.line()])]
    shown = _images(file.parent, found)
    lost = [image.path.name for image in shown if not image.path.is_file()]
    blocks: list[Block] = [image for image in shown if image.path.is_file()]
    return [*blocks, *([Notice("Pictures that are not there", lost)] if lost else [])]


def _images(folder: Path, found: dict[str, Any]) -> list[Image]:
    images = []
    if found["layers"]:
        means = [f"{store}: " + ", ".join(number(v) for v in w["mean"]) for store, w in found["layers"].items()]
        images.append(
            Image(folder / "layers.png", f"Weights of the encoder's layers, mean over heads. {'; '.join(means)}.")
        )
    if found["modalities"]:
        shares = found["modalities"]["shapley_of_UA"]
        told = ", ".join(f"{name} {share['mean']:+.3f}" for name, share in shares.items())
        images.append(Image(folder / "modalities.png", f"What each modality adds to UA (Shapley values): {told}."))
    for e in found["examples"]:
        for name in e["pictures"]:
            what = {"activation": "Class activation", "attention": "Attention"}.get(name.split(".")[-2], "Picture")
            told = (
                f"{what} of {e['utterance_id']}: {e['true']}, recognised as {e['predicted']} ({e['probability']:.2f})"
            )
            images.append(Image(folder / name, f"{told}, by {e['head']}."))
    return images


def _again(source: Source) -> list[Block]:
    record = source.result
    stores = [(f"features {name}", f"SHA-256 {s['features_sha256']}") for name, s in record["data"]["stores"].items()]
    table = record["data"]["table"]
    rows = [*facts(record), ("record", source.path.name), *([("table", f"SHA-256 {table['sha256']}")] if table else [])]
    return [
        Command("Give this command in a workspace with the same tables, features and heads", str(record["command"])),
        Facts("What was evaluated", [*rows, *stores]),
        Facts("Where it was computed", list(flat(record["environment"])), closed=True),
    ]
