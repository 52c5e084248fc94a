"""The tables of an evaluation, for the terminal and for reports: rows of texts, the first the heading. Pure and light."""

from typing import Any

from ser.results.records.names import METRICS
from ser.results.report.tables import ABSENT, compared, interval, number, score, scores

Rows = list[list[str]]

FEW = 3  # with fewer runs, an interval over them says nothing
FEW_SPEAKERS = 10  # with fewer of a gender, drawing them again gives intervals that are too narrow
SHOWN = 12  # speakers; of more, the ends are shown where there is no room
PROBABILITIES = ("NLL", "Brier", "ECE")
CHANCE = "ECE_by_chance"
MEASURES = ("cross_entropy", "JS", "TVD")
TESTS = ("UA difference", "95 %", "effect", "p over models", "p over speakers", "p")
STATES = ("uncalibrated", "calibrated")
P_NOTE = "p is of both kinds of luck together, and the one that counts; over models or over speakers alone is too sure."


def parts_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What has scores and probabilities of its own, by name."""
    named = {"one by one": record, "mean of views": record["tta"], "mean of runs": record["ensemble"]}
    return {name: part for name, part in named.items() if part is not None}


def units_of(record: dict[str, Any]) -> str:
    """How many of what its numbers are means over: `5 runs`, `1 head`."""
    n = record["scores"]["UA"]["n"]
    return f"{n} {record['unit']}" + ("" if n == 1 else "s")


def score_rows(record: dict[str, Any]) -> Rows:
    """The four metrics of the heads, and of what averages over views or runs."""
    rows = [["test predictions", *METRICS, "UA, 95 % over speakers", f"{record['unit']}s"]]
    for name, part in parts_of(record).items():
        ua = part["scores"]["UA"]
        rows.append([name, *scores(part["scores"]), interval(ua.get("ci_95_speakers")), str(ua["n"])])
    return rows


def paired_rows(record: dict[str, Any]) -> Rows:
    """Paired comparisons of what averages with what it averages over; no rows where there is none."""
    pairs = [
        ("mean of views minus original", (record["tta"] or {}).get("comparison")),
        ("mean of runs minus one by one", (record["ensemble"] or {}).get("comparison")),
        ("snapshots minus the last one", (record["snapshots"] or {}).get("comparison_with_last")),
    ]
    # One pair alone: where `compared` has the adjusted p, its own p is told, which older records lack.
    tested = [[name, *compared({**c, "p_holm": c.get("p")})] for name, c in pairs if c is not None]
    return [["paired", *TESTS], *tested] if tested else []


def probability_rows(record: dict[str, Any]) -> Rows:
    """Probability scores before and after the temperature."""
    rows = [["probabilities", *PROBABILITIES, "ECE by chance"]]
    for name, part in parts_of(record).items():
        found = part["probabilities"]
        for state in (*STATES, "change"):
            if found[state] is not None:
                signed = state == "change"
                told = [(_signed if signed else score)(found[state][m]) for m in PROBABILITIES]
                told.append("" if signed else number(found[state][CHANCE]["mean"]))
                rows.append([f"{name}, {state}", *told])
    return rows


def probability_note(record: dict[str, Any]) -> str:
    return (
        f"NLL in nats; Brier 0 to 2; ECE over {record['bins']} bins of equally many utterances; by chance: what a head has\n"
        "whose probabilities are exactly right, with as many utterances."
    )


def temperature_lines(record: dict[str, Any]) -> list[str]:
    """Of what the temperatures are; no lines without them."""
    found = record["temperature"]
    if found is None:
        return []
    lines = [
        f"temperature {found['mean']:.3f} ({found['min']:.3f} to {found['max']:.3f}), {len(found['values'])} of them,"
        f" each of the {found['fitted_on']}"
    ]
    if found["refitted"]:
        lines.append("Heads were then trained again on training and validation: the temperature is of the head before.")
    if found["at_bound"]:
        lines.append(f"{found['at_bound']} temperatures are at the end of what is allowed.")
    return lines


def _signed(metric: dict[str, Any]) -> str:
    return f"{metric['mean']:+.3f}" + (f" ± {metric['std']:.3f}" if metric["std"] is not None else "")


def reliability_rows(record: dict[str, Any]) -> Rows:
    """The reliability curve, before and after."""
    found = record["probabilities"]
    states = [s for s in STATES if found[s] is not None]
    rows = [["bin", "utterances", *(f"{what}, {s}" for s in states for what in ("confidence", "accuracy"))]]
    curves = [found[s]["reliability"] for s in states]
    for k, n in enumerate(curves[0]["n"]):
        values = [number(curve[what][k]) for curve in curves for what in ("confidence", "accuracy")]
        rows.append([str(k + 1), f"{n:g}", *values])
    return rows


def accuracy_rows(record: dict[str, Any]) -> Rows:
    """Accuracy on the surest utterances."""
    found = record["selective"]["accuracy_at"]
    rows = [["answered, the surest first", *(f"{float(c):.0%}" for c in found)]]
    return [*rows, ["accuracy", *(score(m) for m in found.values())]]


def risk_rows(record: dict[str, Any]) -> Rows:
    """What thresholds for some risks make of the test utterances."""
    found = record["selective"]
    rows = [["risk asked for", *(f"{float(r):.0%}" for r in found["coverage_at"])]]
    held = found["from_validation"]
    if held is not None:
        rows.append(["threshold from validation: answered", *(score(v["coverage"]) for v in held.values())])
        rows.append(["risk then", *(ABSENT if v["risk"] is None else score(v["risk"]) for v in held.values())])
    return [*rows, ["answered, in hindsight", *(score(m) for m in found["coverage_at"].values())]]


def area_line(record: dict[str, Any]) -> str:
    found = record["selective"]
    return f"AURC {score(found['AURC'])}, above that of a perfect order {score(found['E_AURC'])}"


def _with_interval(metric: dict[str, Any]) -> str:
    return f"{number(metric['mean'])} ({interval(metric['ci_95'])})"


def gender_rows(found: dict[str, Any]) -> Rows:
    """Scores of each gender and their differences, of `groups.gender`."""
    rows = [["gender", "UA (95 %)", "WA (95 %)", "utterances", "speakers"]]
    for name, g in found["groups"].items():
        rows.append([name, _with_interval(g["UA"]), _with_interval(g["WA"]), str(g["n"]), str(g["speakers"])])
    for gap in found["gaps"]:
        told = [f"{gap[m]['difference']:+.3f} ({interval(gap[m]['ci_95'])})" for m in ("UA", "WA")]
        rows.append([" minus ".join(gap["between"]), *told, "", ""])
    return rows


def gender_note(found: dict[str, Any]) -> str:
    """How the intervals were made, and whether there are enough speakers for them."""
    few = [f"{g['speakers']} ({name})" for name, g in found["groups"].items() if g["speakers"] < FEW_SPEAKERS]
    note = "Speakers drawn again within each gender."
    return f"{note} Of so few speakers, {' and '.join(few)}, such intervals are too narrow." if few else note


def speaker_rows(found: dict[str, Any], shown: int | None = None) -> Rows:
    """Scores of each speaker, of `groups.speaker`; of more than are to be shown the lowest and the highest."""
    order = sorted(found["groups"], key=lambda name: found["groups"][name]["UA"]["mean"])
    rows = [["speaker", "UA (95 %)", "WA (95 %)", "utterances"]]
    for name in order if shown is None or len(order) <= shown else [*order[:5], "...", *order[-5:]]:
        g = found["groups"].get(name)
        told = ["", "", ""] if g is None else [_with_interval(g["UA"]), _with_interval(g["WA"]), str(g["n"])]
        rows.append([name, *told])
    return rows


def speaker_lines(found: dict[str, Any]) -> list[str]:
    """The gap between the best and the worst, beside that of chance."""
    gap = found["gap"]
    chance = gap["chance"]
    lines = [
        "A speaker's utterances drawn again within each class.",
        f"{gap['highest']} minus {gap['lowest']}: UA {gap['difference']:.3f} ({interval(gap['ci_95'])}); dealt to the speakers"
        f" at random, utterances make a gap of {chance['mean']:.3f}, 95 % below {chance['quantile_95']:.3f}: p {gap['p']:.4f}.",
        f"standard deviation between {len(found['groups'])} speakers: {found['std']:.3f}",
    ]
    if found["left_out"]:
        lines.append(f"{found['left_out']} speakers with fewer utterances left out")
    return lines


def vote_rows(found: dict[str, Any]) -> Rows:
    """Accuracy of the head and of an annotator, of `votes`."""
    return [
        ["accuracy against the label", "WA", "UA"],
        ["one annotator, expected", number(found["human"]["WA"]), number(found["human"]["UA"])],
        ["the head", score(found["head"]["WA"]), score(found["head"]["UA"])],
    ]


def distance_rows(found: dict[str, Any]) -> Rows:
    """Distances of the predictions to the votes."""
    rows = [["distance to the votes", *MEASURES, "least cross-entropy"]]
    for state in STATES:
        if found[state] is not None:
            rows.append([state, *(score(found[state][m]) for m in MEASURES), number(found[state]["entropy"]["mean"])])
    return rows


def vote_lines(found: dict[str, Any]) -> list[str]:
    """How often the head and an annotator name what an annotator heard; no line where it is not known."""
    pairs = found["pairwise"]
    if not pairs:
        return []
    return [
        f"The head names what an annotator heard in {pairs['head']['mean']:.3f}, another annotator does in"
        f" {pairs['annotators']:.3f} of the cases."
    ]


def novelty_rows(entry: dict[str, Any]) -> Rows:
    """Each score of one entry of `novelty`."""
    rows = [[f"novel: {entry['novel']}", "AUROC", "95 % over runs", "FPR95"]]
    for name, found in entry["scores"].items():
        if found is not None:
            over = found["AUROC"]["ci_95"] if found["AUROC"]["n"] >= FEW else None
            rows.append([name, score(found["AUROC"]), interval(over), score(found["FPR95"])])
    return rows


def novelty_line(entry: dict[str, Any]) -> str:
    n = entry["n"]
    line = f"{n['novel']} novel utterances, {n['known']} known; {entry['heads']} heads, mean over a run's"
    if entry["without_novel"]:
        line += f"; {entry['without_novel']} heads without a novel utterance of their test speakers"
    return line
