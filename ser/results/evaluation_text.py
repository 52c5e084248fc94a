"""An evaluation as text for the terminal. Pure and light: record in, text out."""

from typing import Any

from ser.results.names import METRICS
from ser.results.tables import ABSENT, compared, date, grid, interval, number, score, scores

FEW = 3  # with fewer runs, an interval over them says nothing
PROBABILITIES = ("NLL", "Brier", "ECE")
CHANCE = "ECE_by_chance"
MEASURES = ("cross_entropy", "JS", "TVD")
TESTS = ("difference", "95 %", "effect", "p over models", "p over speakers")


def evaluation_text(record: dict[str, Any], file: object) -> str:
    """A whole evaluation for the terminal.

    Args:
        file: where it lies, for the last line.
    """
    parts = [_facts(record), _scores(record), _calibration(record), _reliability(record), _selective(record)]
    parts += [*_groups(record["groups"]), _votes(record), _novelty(record), _files(record, file)]
    return "\n\n".join(part for part in parts if part)


def _facts(record: dict[str, Any]) -> str:
    data, model = record["data"], record["model"]
    of = f"{model['runs']} runs of {model['folds']} folds, {model['heads']} saved heads"
    rows = [
        ["evaluation", record["experiment"] + (f", at {model['amount']}" if model["amount"] else "")],
        ["command", record["command"]],
        ["date", f"{date(record['time']['started'])} UTC"],
        ["data", f"{data['dataset']}, scheme {data['scheme']}, {data['utterances']} utterances: {data['rows']}"],
        ["heads", of if model["kind"] == "experiment" else "one saved head"],
    ]
    if data["dropped"]:
        rows.append(["left out", ", ".join(f"{reason}: {count}" for reason, count in data["dropped"].items())])
    rows += [["stamp" if i == 0 else "", stamp] for i, stamp in enumerate(record["stamps"])]
    rows += [["note" if i == 0 else "", note] for i, note in enumerate(record["notes"])]
    return "\n".join(f"{name:<10}  {value}" for name, value in rows)


def _scores(record: dict[str, Any]) -> str:
    """The four metrics of the heads, and of what averages over views, runs or snapshots."""
    rows = [["test predictions", *METRICS, "UA, 95 % over speakers", f"{record['unit']}s"]]
    named = {
        "one by one": record,
        "mean of views": record["tta"],
        "mean of runs": record["ensemble"],
    }
    for name, part in named.items():
        if part is not None:
            ua = part["scores"]["UA"]
            rows.append([name, *scores(part["scores"]), interval(ua.get("ci_95_speakers")), str(ua["n"])])
    lines = grid(rows)
    pairs = [
        ("mean of views minus original", (record["tta"] or {}).get("comparison")),
        ("mean of runs minus one by one", (record["ensemble"] or {}).get("comparison")),
        ("snapshots minus the last one", (record["snapshots"] or {}).get("comparison_with_last")),
    ]
    tested = [[name, *compared({**c, "p_holm": None})[:-1]] for name, c in pairs if c is not None]
    if tested:
        lines += ["", *grid([["paired", *(["UA difference", *TESTS[1:]])], *tested])]
    if record["snapshots"]:
        each = ", ".join(number(v) for v in record["snapshots"]["UA_of_each"])
        lines.append(f"UA of each snapshot: {each}")
    if record["average"] != "none":
        lines.append(f"The heads' weights are averages over training ({record['average']}).")
    return "\n".join(lines)


def _calibration(record: dict[str, Any]) -> str:
    """Probability scores before and after the temperature."""
    rows = [["probabilities", *PROBABILITIES, "ECE by chance"]]
    for name, part in (
        ("one by one", record),
        ("mean of views", record["tta"]),
        ("mean of runs", record["ensemble"]),
    ):
        found = {} if part is None else part["probabilities"]
        for state in ("uncalibrated", "calibrated", "change"):
            if found.get(state) is not None:
                signed = state == "change"
                told = [(_signed if signed else score)(found[state][m]) for m in PROBABILITIES]
                told.append("" if signed else number(found[state][CHANCE]["mean"]))
                rows.append([f"{name}, {state}", *told])
    lines = [
        *grid(rows),
        f"NLL in nats; Brier 0 to 2; ECE over {record['bins']} bins of equally many utterances; by chance: what a head has",
        "whose probabilities are exactly right, with as many utterances.",
    ]
    found = record["temperature"]
    if found is not None:
        lines.append(
            f"temperature {found['mean']:.3f} ({found['min']:.3f} to {found['max']:.3f}), {len(found['values'])} of them,"
            f" each of the {found['fitted_on']}"
        )
        if found["refitted"]:
            lines.append(
                "Heads were then trained again on training and validation: the temperature is of the head before."
            )
        if found["at_bound"]:
            lines.append(f"{found['at_bound']} temperatures are at the end of what is allowed.")
    return "\n".join(lines)


def _signed(metric: dict[str, Any]) -> str:
    return f"{metric['mean']:+.3f}" + (f" ± {metric['std']:.3f}" if metric["std"] is not None else "")


def _reliability(record: dict[str, Any]) -> str:
    """The reliability curve, before and after."""
    found = record["probabilities"]
    states = [s for s in ("uncalibrated", "calibrated") if found[s] is not None]
    rows = [["bin", "utterances", *(f"{what}, {s}" for s in states for what in ("confidence", "accuracy"))]]
    curves = [found[s]["reliability"] for s in states]
    for k, n in enumerate(curves[0]["n"]):
        values = [number(curve[what][k]) for curve in curves for what in ("confidence", "accuracy")]
        rows.append([str(k + 1), f"{n:g}", *values])
    return "\n".join(["reliability", *grid(rows)])


def _selective(record: dict[str, Any]) -> str:
    found = record["selective"]
    rows = [["answered, the surest first", *(f"{float(c):.0%}" for c in found["accuracy_at"])]]
    rows.append(["accuracy", *(score(m) for m in found["accuracy_at"].values())])
    lines = [*grid(rows), f"AURC {score(found['AURC'])}, above that of a perfect order {score(found['E_AURC'])}"]
    rows = [["risk asked for", *(f"{float(r):.0%}" for r in found["coverage_at"])]]
    held = found["from_validation"]
    if held is not None:
        rows.append(["threshold from validation: answered", *(score(v["coverage"]) for v in held.values())])
        rows.append(["risk then", *(ABSENT if v["risk"] is None else score(v["risk"]) for v in held.values())])
    rows.append(["answered, in hindsight", *(score(m) for m in found["coverage_at"].values())])
    return "\n".join([*lines, *grid(rows)])


def _with_interval(metric: dict[str, Any]) -> str:
    return f"{number(metric['mean'])} ({interval(metric['ci_95'])})"


def _groups(groups: dict[str, Any]) -> list[str]:
    found = []
    if groups["gender"]:
        rows = [["gender", "UA (95 %)", "WA (95 %)", "utterances", "speakers"]]
        for name, g in groups["gender"]["groups"].items():
            rows.append([name, _with_interval(g["UA"]), _with_interval(g["WA"]), str(g["n"]), str(g["speakers"])])
        for gap in groups["gender"]["gaps"]:
            told = [f"{gap[m]['difference']:+.3f} ({interval(gap[m]['ci_95'])})" for m in ("UA", "WA")]
            rows.append([" minus ".join(gap["between"]), *told, "", ""])
        found.append("\n".join([*grid(rows), "Speakers drawn again within each gender."]))
    if groups["speaker"]:
        found.append(_speakers(groups["speaker"]))
    return found


def _speakers(found: dict[str, Any]) -> str:
    gap, order = found["gap"], sorted(found["groups"], key=lambda name: found["groups"][name]["UA"]["mean"])
    rows = [["speaker", "UA (95 %)", "WA (95 %)", "utterances"]]
    shown = order if len(order) <= 12 else [*order[:5], "...", *order[-5:]]
    for name in shown:
        g = found["groups"].get(name)
        told = ["", "", ""] if g is None else [_with_interval(g["UA"]), _with_interval(g["WA"]), str(g["n"])]
        rows.append([name, *told])
    chance = gap["chance"]
    lines = [
        *grid(rows),
        "A speaker's utterances drawn again.",
        f"{gap['highest']} minus {gap['lowest']}: UA {gap['difference']:.3f} ({interval(gap['ci_95'])}); dealt to the speakers"
        f" at random, utterances make a gap of {chance['mean']:.3f}, 95 % below {chance['quantile_95']:.3f}: p {gap['p']:.4f}.",
        f"standard deviation between {len(order)} speakers: {found['std']:.3f}",
    ]
    if found["left_out"]:
        lines.append(f"{found['left_out']} speakers with fewer utterances left out")
    return "\n".join(lines)


def _votes(record: dict[str, Any]) -> str:
    found = record["votes"]
    if found is None:
        return ""
    rows = [["accuracy against the label", "WA", "UA"]]
    rows.append(["one annotator, expected", number(found["human"]["WA"]), number(found["human"]["UA"])])
    rows.append(["the head", score(found["head"]["WA"]), score(found["head"]["UA"])])
    lines = [f"votes of {found['n']} utterances, all annotators' of {found['complete']}", *grid(rows)]
    rows = [["distance to the votes", *MEASURES, "least cross-entropy"]]
    for state in ("uncalibrated", "calibrated"):
        if found[state] is not None:
            rows.append([state, *(score(found[state][m]) for m in MEASURES), number(found[state]["entropy"]["mean"])])
    lines += grid(rows)
    pairs = found["pairwise"]
    if pairs:
        lines.append(
            f"The head names what an annotator heard in {pairs['head']['mean']:.3f}, another annotator does in"
            f" {pairs['annotators']:.3f} of the cases."
        )
    return "\n".join(lines)


def _novelty(record: dict[str, Any]) -> str:
    parts = []
    for entry in record["novelty"]:
        rows = [[f"novel: {entry['novel']}", "AUROC", "95 % over runs", "FPR95"]]
        for name, found in entry["scores"].items():
            if found is not None:
                over = found["AUROC"]["ci_95"] if found["AUROC"]["n"] >= FEW else None
                rows.append([name, score(found["AUROC"]), interval(over), score(found["FPR95"])])
        n = entry["n"]
        line = f"{n['novel']} novel utterances, {n['known']} known; {entry['heads']} heads, mean over a run's"
        if entry["without_novel"]:
            line += f"; {entry['without_novel']} heads without a novel utterance of their test speakers"
        parts.append("\n".join([*grid(rows), line, *entry["notes"]]))
    return "\n\n".join(parts)


def _files(record: dict[str, Any], file: object) -> str:
    names = ", ".join(f["path"] for f in record["files"].values())
    looks = (
        f"\nlooks at    {record['explanations']} beside it, with pictures and arrays" if record["explanations"] else ""
    )
    return f"written     {file}" + (f"\nbeside it   {names}" if names else "") + looks
