"""Reports: the page is one valid file that fetches nothing, all can read it, and its numbers are the record's."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from click.testing import Result as Done
from msgspec import structs

from ser import checks
from ser.cli import cli
from ser.errors import ConfigError
from ser.jsonfile import check, plain, write_json
from ser.registry import load, names
from ser.results.blocks import Table
from ser.results.metrics.classification import scores
from ser.results.plotting.gallery import draw
from ser.results.records.find import PNG, beside, picture_beside
from ser.results.records.kinds import model_of, read_record
from ser.results.records.names import METRICS
from ser.results.report.background import stamps_and_notes
from ser.results.report.compose import FORMATS, compose, text_of, write_report
from ser.results.report.formats.html import render
from ser.results.report.formats.latex import escaped
from ser.results.report.formats.md import table_lines
from ser.results.report.score_rows import score_rows
from ser.results.result import Result
from ser.results.studies import studies

Write = Callable[..., tuple[Path, dict[str, Any]]]
VOID = {"meta", "br", "wbr", "hr", "img", "input", "link"}
NASTY = '<script>alert("x")</script> & 50 % | a_b \\ {c}'


class Page(HTMLParser):
    """Elements in order with their attributes, what is in which, and tables as texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"{tag} is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes), tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:]}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if not set(self._open) & {"style", "svg"}:
            self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes, _ in self.elements if tag in tags]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, write_experiment: Write, simulate_fewshot: Callable[..., pd.DataFrame]
) -> Path:
    folder = tmp_path_factory.mktemp("workspace") / "results"
    write_experiment(folder, "one", stamps=["speakers shared: 5 of them", NASTY])
    write_experiment(folder, "two", config={"head": "linear", "scheme": "native", "protocol": "session"})
    write_experiment(folder, "few", frame=simulate_fewshot())
    return folder


@cache
def _page(folder: Path, *results: str) -> tuple[str, Page, list[dict[str, Any]]]:
    found = [Result(folder / f"{n}.json", read_record(folder / f"{n}.json")) for n in results]
    text = render(compose(found))
    return text, Page(text), [plain(r.record) for r in found]


def _read(folder: Path, name: str) -> dict[str, Any]:
    from ser.results.records.kinds import read_record

    return plain(read_record(folder / f"{name}.json"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the drawing of pictures, for tests of what else is on them."""
    monkeypatch.setattr("ser.results.report.formats.html.inline", lambda *_: "<svg></svg>")


@pytest.fixture(scope="module", params=[("one",), ("two", "few")], ids="+".join)
def page(folder: Path, request: pytest.FixtureRequest) -> tuple[str, Page, list[dict[str, Any]]]:
    return _page(folder, *request.param)


def test_structure(page: tuple[str, Page, list[dict[str, Any]]]) -> None:
    text, parsed, _ = page
    assert text.lstrip().startswith("<!DOCTYPE html>")
    assert parsed.faults == []
    assert parsed.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer", "h1", "title"):
        inside_svg = [e for e in parsed.elements if e[0] == landmark and "svg" not in e[2]]
        assert len(inside_svg) == 1, landmark
    levels = [int(tag[1]) for tag, _, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))  # no level is left out
    assert "prefers-color-scheme: dark" in text
    assert "prefers-reduced-motion" in text
    assert ":focus-visible" in text


def test_nothing_is_fetched(page: tuple[str, Page, list[dict[str, Any]]]) -> None:
    text, parsed, _ = page
    assert not parsed.all("script", "link", "iframe", "object", "embed", "img", "image")
    assert "@import" not in text
    assert re.findall(r"(?:https?:)?//[a-z]", re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)) == []
    assert all(re.match(r"\(#", found) for found in re.findall(r"url(\(.)", text))
    links = [a[key] or "" for _, a, _ in parsed.elements for key in ("href", "src") if key in a]
    assert all(link.startswith("#") for link in links)


def test_ids_are_unique_and_what_is_referred_to_is_there(page: tuple[str, Page, list[dict[str, Any]]]) -> None:
    text, parsed, _ = page
    ids = Counter(a["id"] for _, a, _ in parsed.elements if "id" in a)
    assert [name for name, n in ids.items() if n > 1] == []
    used = {(a[k] or "")[1:] for _, a, _ in parsed.elements for k in ("href",) if k in a}
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    used |= {word for _, a, _ in parsed.elements for word in (a.get("aria-labelledby") or "").split()}
    assert used <= set(ids)


def test_who_does_not_see_is_told(page: tuple[str, Page, list[dict[str, Any]]]) -> None:
    _, parsed, _ = page
    figures, pictures = parsed.all("figure"), [a for tag, a, _ in parsed.elements if tag == "svg"]
    assert len(figures) == len(pictures) == len(parsed.all("figcaption")) > 0
    assert all(p["role"] == "img" and p["aria-labelledby"] for p in pictures)
    assert len(parsed.all("desc")) == len(pictures)
    assert len(parsed.all("caption")) == len(parsed.tables)
    assert all(a.get("scope") in ("col", "row") for a in parsed.all("th"))
    scrolled = [a for a in parsed.all("div") if a.get("role") == "group"]
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)
    (skip,) = [a for a in parsed.all("a") if a.get("class") == "skip"]
    assert skip["href"] == "#main"


def test_the_numbers_are_the_records(folder: Path) -> None:
    _, parsed, (summary,) = _page(folder, "one")
    shown = next(t for t in parsed.tables if t[0][:3] == ["of", "metric", "mean ± std"])
    names_of = {"test, pooled": "pooled", "test, by fold": "test", "validation": "validation"}
    rows = {(names_of[row[0]], METRICS[k % 4]): row for k, row in enumerate(shown[1:])}
    assert len(rows) == 12
    for (part, metric), row in rows.items():
        value = summary[part][metric]
        assert row[2] == f"{value['mean']:.3f} ± {value['std']:.3f}"
        assert row[3] == f"{value['ci_95'][0]:.3f} to {value['ci_95'][1]:.3f}"
        speakers = value.get("ci_95_speakers")
        assert row[4] == (f"{speakers[0]:.3f} to {speakers[1]:.3f}" if speakers else "-")
        assert row[5] == str(value["n"])
    matrix = next(t for t in parsed.tables if t[0][0] == "true \\ predicted")
    assert [[int(c) for c in row[1:-1]] for row in matrix[1:]] == summary["confusion_matrix"]["counts"]
    classes = next(t for t in parsed.tables if t[0][0] == "class")
    for row in classes[1:]:
        assert row[1] == f"{summary['per_class'][row[0]]['precision']:.3f}"
        assert row[5] == f"{summary['per_class'][row[0]]['F1']:.3f}"
    speakers = next(t for t in parsed.tables if t[0][0] == "speaker")
    assert {row[0]: row[1] for row in speakers[1:]} == {
        name: f"{v['UA']:.3f}" for name, v in summary["groups"]["speaker"].items()
    }


def test_stamps_command_and_hashes_are_told(folder: Path) -> None:
    text, parsed, (summary,) = _page(folder, "one")
    told = " ".join(" ".join(parsed.text).split())
    assert "speakers shared: 5 of them" in told
    assert NASTY in told  # as text
    assert "<script>" not in text
    assert summary["config_hash"] in told
    assert summary["command"] in told
    hashes = [row[-1] for t in parsed.tables if t[0][-1] == "predictions, SHA-256" for row in t[1:]]
    assert len(hashes) == len(summary["runs"])
    assert told.index("speakers shared") < told.index("95 % over speakers")  # before the table


def test_no_stamps_claim_no_more_than_was_looked_for(folder: Path) -> None:
    found = Result.find("one", folder)
    record = structs.replace(found.record, stamps=[])
    audit = {"shares": {}, "speaker_independent": True, "overlap": 0}
    for facts, missing in (
        ({}, "Not looked for: what training and test share, as there is no audit; copies of test audio in training"),
        ({"audit": audit}, "Not looked for: copies of test audio in training; ser audit listens."),
        ({"audit": {**audit, "copies": {}}}, ""),
    ):
        data = {k: v for k, v in record.data.items() if k != "audit"} | facts
        (line,) = stamps_and_notes(structs.replace(record, data=data))[0].lines
        assert line.startswith("No stamps: the checks found nothing")
        assert missing in line if missing else "looked for" not in line


@pytest.mark.usefixtures("undrawn")
def test_several_are_compared_first(folder: Path) -> None:
    _, parsed, found = _page.__wrapped__(folder, "one", "two")
    first = parsed.tables[0]
    assert [row[0] for row in first[1:]] == ["one", "two"]
    assert [row[5] for row in first[1:]] == [f"{s['pooled']['UA']['mean']:.3f}" for s in found]
    assert "Not compared: the results are not comparable: another label scheme; found one: 4; two: native" in " ".join(
        parsed.text
    )


@pytest.mark.usefixtures("undrawn")
def test_what_can_be_compared_is_tested_as_the_command_does(
    tmp_path: Path, write_experiment: Write, simulate: Callable[..., pd.DataFrame]
) -> None:
    from ser.results.comparison.compare import compare_results

    results = tmp_path / "results"
    write_experiment(results, "a", frame=simulate(skill=1.5))
    write_experiment(results, "b", frame=simulate(skill=0.8))
    _, parsed, _ = _page.__wrapped__(results, "a", "b")
    (pair,) = compare_results(["a", "b"], results)["pairs"]
    head, row = next(t for t in parsed.tables if t[0][-1] == "seeds")
    cells = dict(zip(head, row, strict=True))
    assert (row[0], cells["UA"], cells["p"]) == ("A - B", f"{pair['difference']:+.3f}", f"{pair['p']:.4f}")
    assert cells["p, Holm"] == f"{pair['p_holm']:.4f}"
    assert "A is a, B is b. Paired: 3 runs by seed, 2 folds." in " ".join(parsed.text)


def test_contrast_is_enough_in_light_and_dark(folder: Path) -> None:
    """WCAG 2 AA: 4.5 to 1 for words on what is behind them."""
    text, _, _ = _page(folder, "one")
    blocks = re.findall(r":root \{([^}]*)\}", text)
    assert len(blocks) == 2
    light = dict(re.findall(r"--(\w+): (#\w+)", blocks[0]))
    dark = light | dict(re.findall(r"--(\w+): (#\w+)", blocks[1]))
    for colours in (light, dark):
        for word, behind in [(w, "paper") for w in ("ink", "soft", "link")] + [("ink", "band"), ("warn", "warnband")]:
            assert _contrast(_rgb(colours[word]), _rgb(colours[behind])) >= 4.5, (word, behind)
    for colours, block in ((light, blocks[0]), (dark, blocks[1])):
        shade = [int(v) / 255 for v in re.findall(r"--shade: (\d+) (\d+) (\d+)", block)[0]]
        mixed = [0.7 * s + 0.3 * p for s, p in zip(shade, _rgb(colours["paper"]), strict=True)]
        assert _contrast(_rgb(colours["ink"]), mixed) >= 4.5  # the darkest cell of a matrix


def _rgb(colour: str) -> list[float]:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
    return [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]


def _contrast(one: list[float], other: list[float]) -> float:
    def luminance(parts: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _report(*arguments: object) -> Done:
    return CliRunner().invoke(cli, ["results", "report", *map(str, arguments)])


@pytest.mark.parametrize("form", names(FORMATS))
def test_every_format(folder: Path, tmp_path: Path, form: str, request: pytest.FixtureRequest) -> None:
    if form == "docx":
        pytest.importorskip("docx")
    if form == "html":
        request.getfixturevalue("undrawn")  # the pages above have its pictures
    workspace = tmp_path / "workspace"
    shutil.copytree(folder, workspace / "results")
    result = _report("one", "--format", form, "--workspace", workspace)
    assert result.exit_code == 0, result.output
    (path,) = workspace.glob("results/*.report.*")
    assert path.stat().st_size > 1000
    if form == "md":
        (tmp_path / "mine_files").mkdir()
        refused = _report("one", "--workspace", workspace, "--output", tmp_path / "mine.md")
        assert "mine_files is there already, and would be lost" in str(refused.exception)
        assert _report("one", "--workspace", workspace, "--output", tmp_path / "mine.md", "--overwrite").exit_code == 0
    if form in ("csv", "latex"):
        again = path.read_bytes()
        refused = _report("one", "--workspace", workspace, "--output", path)  # by its ending
        assert str(refused.exception) == f"{path} is there already. Name another file, or write over it: --overwrite."
        path.write_text("mine")
        assert _report("one", "--workspace", workspace, "--output", path, "--overwrite").exit_code == 0
        assert path.read_bytes() == again
        path.write_text("older")
        assert _report("one", "--workspace", workspace, "--format", form).exit_code == 0  # its own name
        assert path.read_bytes() == again


def test_chance_is_of_the_classes_that_the_test_part_has(
    tmp_path: Path,
    write_experiment: Write,
    simulate: Callable[..., pd.DataFrame],
    simulate_fewshot: Callable[..., pd.DataFrame],
) -> None:
    frame = simulate()
    lacking = frame.assign(true=frame["true"].replace("sadness", "anger"))
    said = {}
    for name, part in (("all", frame), ("lacking", lacking)):
        path, summary = write_experiment(tmp_path, name, frame=part)
        said[name] = " ".join(text_of(summary, path).split())
        truth = part[(part["split"] == "test") & (part["run"] == 0)]["true"].to_list()
        always = scores(truth, ["anger"] * len(truth), [c[2:] for c in part if c.startswith("p_")])["UA"]
        assert f"Chance is {always:.3f}." in said[name]
    assert "Chance is 0.333." in said["lacking"]
    few = simulate_fewshot()
    path, summary = write_experiment(tmp_path, "few", frame=few.assign(true=few["true"].replace("sadness", "anger")))
    result = Result(path, read_record(path))
    labels = [str(line.get_label()) for line in draw(result, "fewshot").figure.axes[0].lines]
    assert "chance, 0.333" in labels


@pytest.mark.parametrize("form", names(FORMATS))
def test_a_format_keeps_its_promises(form: str) -> None:
    if form == "docx":
        pytest.importorskip("docx")
    assert [(promise, fault) for promise, fault in checks.check("format", form) if fault] == []


def test_tidy_csv(folder: Path, tmp_path: Path) -> None:
    write_report(["one", "few"], folder, "csv", tmp_path / "x.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    summary = _read(folder, "one")
    row = next(r for r in rows if (r["experiment"], r["split"], r["metric"]) == ("one", "pooled", "WF1"))
    value = summary["pooled"]["WF1"]
    assert [float(row[k]) for k in ("mean", "std", "ci_95_low", "ci_95_high", "n")] == [
        value["mean"],
        value["std"],
        *value["ci_95"],
        value["n"],
    ]
    assert {r["of"] for r in rows if r["experiment"] == "few"} == {"no target data", "10%", "20%", "50%"}
    assert len(rows) == len(score_rows(read_record(folder / "one.json"))) + 4 * 2 * 4 + 3 * 4


def test_tidy_rows_of_few_runs_have_no_interval(
    tmp_path: Path, write_experiment: Write, simulate: Callable[..., pd.DataFrame]
) -> None:
    for runs in (2, 3):
        path, summary = write_experiment(tmp_path / str(runs), frame=simulate(runs=runs))
        assert {row.ci_95_low is None for row in score_rows(check(summary, model_of(summary), path))} == {runs == 2}


def test_markdown_pictures_are_there(folder: Path, tmp_path: Path) -> None:
    write_report(["one"], folder, "md", tmp_path / "x.md")
    text = (tmp_path / "x.md").read_text()
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(links) == len(list((tmp_path / "x_files").iterdir())) == 7
    assert all((tmp_path / link).is_file() for link in links)
    table = [line for line in text.splitlines() if line.startswith("| test, pooled | UA |")]
    assert len(table) == 1
    assert "&lt;script>" in text


def test_latex_is_escaped_and_compiles(folder: Path, tmp_path: Path) -> None:
    write_report(["one"], folder, "latex", tmp_path / "x.tex")
    text = (tmp_path / "x.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 4
    assert r"50 \% \textbar{} a\_b \textbackslash{} \{c\}" in text
    assert escaped("a<b>~^#$") == r"a\textless{}b\textgreater{}\textasciitilde{}\textasciicircum{}\#\$"
    if shutil.which("pdflatex") is None:
        return
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{x}\end{document}"
    (tmp_path / "paper.tex").write_text(head)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout[-500:]
    assert b"Overfull" not in done.stdout


def test_docx(folder: Path, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    write_report(["one"], folder, "docx", tmp_path / "x.docx")
    document = docx.Document(str(tmp_path / "x.docx"))
    headings = [p.text for p in document.paragraphs if p.style.name.startswith("Heading")]
    assert {"Result", "Confusion matrix", "Classes", "Speakers", "How to reproduce"} <= set(headings)
    summary = _read(folder, "one")
    shown = next(t for t in document.tables if t.cell(0, 2).text == "mean ± std")
    assert shown.cell(1, 2).text.split()[0] == f"{summary['pooled']['UA']['mean']:.3f}"
    assert len(document.inline_shapes) == 7
    assert all(shape._inline.docPr.get("descr") for shape in document.inline_shapes)
    with zipfile.ZipFile(tmp_path / "x.docx") as file:
        images = [n for n in file.namelist() if n.startswith("word/media/")]
        assert len(images) == 7
        assert all(file.read(n).startswith(b"\x89PNG") for n in images)
        assert file.read("word/document.xml").count(b"w:tblHeader") == len(document.tables)


def test_docx_without_its_package(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.optional.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package python-docx, .*pip install 'ser\[docx\]'"):
        write_report(["one"], folder, "docx", tmp_path / "x.docx")
    assert list(tmp_path.iterdir()) == []


def test_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named twice"):
        write_report(["one", "one"], folder)
    with pytest.raises(ConfigError, match=r"expected a file ending in \.csv, \.docx, \.html, \.md, \.tex, \.txt, or --format"):
        write_report(["one"], folder, None, tmp_path / "x.pdf")
    with pytest.raises(ConfigError, match="looks like a record"):
        write_report(["one"], folder, "html", folder / "one.json")
    shutil.copytree(folder, tmp_path / "results")
    (tmp_path / "results" / "one" / "run-001.fold-01.csv").unlink()
    with pytest.raises(ConfigError, match=r"names one/run-001\.fold-01\.csv, which cannot be read"):
        write_report(["one"], tmp_path / "results")
    assert list((tmp_path / "results").glob("*.html")) == []


def _studies(folder: Path) -> dict[str, dict[str, Any]]:
    """A study of each kind over two summaries that are there, as training would write it."""
    one, two = _read(folder, "one"), _read(folder, "two")
    shared = {k: one[k] for k in ("command", "config", "config_hash", "environment", "time", "stamps")} | {"notes": []}
    tests = {"models": {"p": 0.03, "units": 6}, "speakers": None}
    numbers = {"metric": "UA", "difference": 0.05, "ci_95": [0.01, 0.09], "effect_size": 1.2, "tests": tests}
    numbers |= {"p": 0.03, "p_holm": 0.06}
    scores = [{k: s[k] for k in ("validation", "test", "pooled")} for s in (one, two)]
    members = [{"experiment": n, "record": f"{n}.json"} for n in ("one", "two")]
    parts = [{"name": m["experiment"], **m, **s} for m, s in zip(members, scores, strict=True)]
    space = {"classes": ["anger", "sadness"], "corpora": [{"dataset": "a", "utterances": 9, "left_out": {"fear": 2}}]}
    pair = {
        "source": "a",
        "target": "b",
        "scheme": "4",
        "protocol": "speaker",
        "label_space": space,
        "classes": {"x": 9, "y": 9},
    }
    data = {"dataset": "a+b", "scheme": "4", "protocol": "speaker", "label_space": space}
    gain = {"variant": "two", **numbers, "gap_closed": 0.5, "verdict": "no gain shown"}
    ways = [{**p, "method": m, "stamps": []} for p, m in zip(parts, ("none", "oracle"), strict=True)]
    settings = [
        {"setting": {"lr": v}, "error": None, **m, "validation": s["validation"]}
        for v, m, s in zip((0.1, 0.01), members, scores, strict=True)
    ]
    failed = {"setting": {"lr": 9.0}, "error": "diverged", "experiment": None, "record": None, "validation": None}
    gone = [{"fold": "0", "run": run, "epoch": 7 * (run + 1), "validation": 0.5} for run in range(2)]
    left = {**failed, "setting": {"lr": 1.0}, "error": None, "left": gone}
    cells = [
        {
            "source": a,
            "target": b,
            "within": a == b,
            "cross_language": None if a == b else "x -> y",
            "utterances": 9,
            **members[a != b],
            "fold": None,
            "suspects": [],
            **{k: scores[a != b][k] for k in ("validation", "pooled")},
        }
        for a in "ab"
        for b in "ab"
    ]
    means = dict.fromkeys("ab", one["pooled"])
    points = [{"amount": a, "n_samples": n, "test": one["test"], "pooled": one["pooled"]} for a, n in (("10%", 9), ("50%", 45))]
    weight = {"mean": 0.5, "std": 0.1, "ci_95": [0.25, 0.75], "n": 3, "values": [0.4, 0.5, 0.6]}
    bodies: dict[str, dict[str, Any]] = {
        "ser.transfer/1": {"data": pair, "task": "adapt", "variants": ways, "comparisons": [gain], "suspects": []},
        "ser.ablation/1": {
            "data": {"dataset": "a"},
            "variants": [{"head": "mlp", "modalities": ["audio"], "stores": ["mfcc"], **p} for p in parts],
            "full": "one",
            "comparisons": [{"variant": "two", **numbers}],
        },
        "ser.search/1": {
            "data": {"dataset": "a"},
            "settings": [*settings, failed, left],
            "halving": 2,
            "tried": 4,
            "failed": 1,
            "chosen_by": "validation UA",
            "chosen": {"setting": {"lr": 0.1}, **members[0], **scores[0]},
            "nested": {k: one[k] for k in ("test", "pooled")} | {"settings": {"0": {"lr": 1.0}, "1": {"lr": 0.1}}},
        },
        "ser.layers/1": {
            "data": {"dataset": "a"},
            "over": "layers",
            "positions": [{"layer": k, **p} for k, p in enumerate(parts)],
            "chosen_by": "validation UA",
            "chosen": "one",
            "all_layers": {**members[1], "name": "all layers", **scores[1]},
            "weights": [{"layer": k, "weight": weight} for k in range(2)],
            "comparisons": [{"other": "all layers", **numbers}],
        },
        "ser.matrix/1": {"data": data, "datasets": ["a", "b"], "cells": cells, "sources": means, "targets": means},
        "ser.fewshot/1": {
            "data": pair,
            "methods": [{"name": m["experiment"], **m, "curve": points} for m in members],
            "source": None,
            "reference": "one",
            "comparisons": [{"amount": "10%", "method": "two", **numbers}],
            "saved_labels": [],
        },
    }
    return {schema: {"schema": schema, "experiment": "study", **shared, **body} for schema, body in bodies.items()}


def test_there_is_a_study_of_each_kind(folder: Path) -> None:
    assert set(_studies(folder)) == set(studies()), "give each kind of study a small record in _studies"


@pytest.mark.parametrize("schema", studies())
def test_studies(folder: Path, schema: str) -> None:
    """The page and the terminal say the same scores; the list has those that stand for the study."""
    study = check(_studies(folder)[schema], studies()[schema], schema)
    result = Result(folder / "study.json", study)
    report = compose([result])
    parsed = Page(render(report))
    assert parsed.faults == []
    assert len(parsed.all("figure")) == 1
    words = " ".join(" ".join(parsed.text).split())
    assert "speakers shared: 5 of them" in words
    if schema == "ser.search/1":
        assert "0 lr=1 (left early on other folds) 1 lr=0.1 Settings on validation" in words
        assert words.count("4 settings tried, 1 failed, 2 trained to the end, 1 with runs that left early") == 2
    shown = {cell for table in parsed.tables for row in table for cell in row}
    terminal = text_of(study, folder / "study.json")
    for row in report.rows:
        if row.split == "pooled" and row.metric == "UA":
            assert any(f"{row.mean:.3f}" in cell for cell in shown)
            assert f"{row.mean:.3f}" in terminal
    assert len(report.rows) > 0
    standing = study.standing()
    assert set(standing.scores) == set(METRICS)
    assert standing.runs == 3
    assert {record for _, record in study.members()} >= set(study.compared()) > set()


def test_a_share_of_nothing_has_no_sign(folder: Path) -> None:
    study = _studies(folder)["ser.transfer/1"]
    study["comparisons"][0]["gap_closed"] = -0.002
    record = check(study, studies()["ser.transfer/1"], "ser.transfer/1")
    gains = next(b for b in record.blocks() if isinstance(b, Table) and "gap" in b.head)
    assert gains.rows[0][-2] == "0 %"


def test_an_unknown_kind_of_study_is_an_error_that_names_the_known_ones(folder: Path, tmp_path: Path) -> None:
    study = _studies(folder)["ser.ablation/1"] | {"schema": "ser.novelty/1"}
    (tmp_path / "study.json").write_text(json.dumps(study))
    known = r"ser\.ablation/1.*found 'ser\.novelty/1'"
    for command in (["show"], ["report"], ["plot"], ["verify"], ["compare"]):
        done = CliRunner().invoke(cli, ["results", *command, str(tmp_path / "study.json"), "--workspace", str(tmp_path)])
        assert isinstance(done.exception, ConfigError)
        assert re.search(known, str(done.exception)), command
    with pytest.raises(ConfigError, match=known):
        write_json(tmp_path / "x.json", study, model_of(study))
    assert not (tmp_path / "x.json").exists()


def test_a_record_shows_no_file_outside_its_folder(folder: Path, tmp_path: Path) -> None:
    """Absolute paths, `..`, links, devices, and files that are not what they claim to be."""
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    inner = tmp_path / "results"
    inner.mkdir()
    (inner / "fine.png").write_bytes(PNG)
    (inner / "text.png").write_text("secret")
    (inner / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(inner / "pipe.png")
    record = inner / "record.json"
    assert picture_beside(record, "fine.png").read_bytes() == PNG
    names = ["/./etc/passwd", "../secret.png", "x/../../secret.png", "link.png", "pipe.png", ".", "gone.png", "a\0b"]
    for name in [*names, str(tmp_path / "secret.png"), "..\\secret.png", "x" * 5000]:
        with pytest.raises(ConfigError, match=r"record\.json names"):
            beside(record, name)
    with pytest.raises(ConfigError, match="not a PNG"):
        picture_beside(record, "text.png")


def test_control_characters_reach_no_format(tmp_path: Path, write_experiment: Write) -> None:
    odd = "a\x1b[31mb\x07c\x00d\x9be\ud800f\ufffe"
    path, summary = write_experiment(tmp_path / "results", "odd", stamps=["plain"])
    summary["stamps"], summary["command"] = [odd], odd
    summary["notes"] = [odd]
    report = compose([Result(path, check(summary, model_of(summary), path))], full=False)
    for form in ("terminal", "html", "md", "latex", "docx", "csv"):
        plugin = load(FORMATS, form)
        output = tmp_path / f"x{plugin.ENDING}"
        plugin.write(report, output)
        found = output.read_bytes() if form != "docx" else zipfile.ZipFile(output).read("word/document.xml")
        assert not set(found) & {0, 7, 27}, form
        found.decode()
    assert "a\ufffd[31mb\ufffdc\ufffdd\ufffde\ufffdf\ufffd" in (tmp_path / "x.txt").read_text()


def test_other_kinds_have_a_report_by_themselves_or_none(folder: Path) -> None:
    one, run = read_record(folder / "one.json"), read_record(folder / "one" / "run-000.fold-01.json")
    with pytest.raises(ConfigError, match=r"x\.json is of the kind 'run record', which is reported by itself"):
        compose([Result(folder / "one.json", one), Result(folder / "x.json", run)])
    with pytest.raises(ConfigError, match=r"no report of run\.json; expected a summary, .* found schema ser\.run/1"):
        compose([Result(folder / "run.json", read_record(folder / "one" / "run-000.fold-01.json"))])


def test_markdown_shows_signs_as_they_are() -> None:
    table = Table("", ["class"], [[r"a\_b"], ["[x](https://example.org)"], ["`z`"], ["true \\ predicted"]])
    assert list(table_lines(table))[2:] == [
        r"| a\\\_b |",
        r"| [x]\(https://example.org) |",
        r"| \`z\` |",
        "| true \\ predicted |",
    ]
