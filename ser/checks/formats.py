"""The promises of a report format: it writes a file of each kind of block, whatever characters are in it, and nothing else."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ser import registry
from ser.checks import Promises, hold
from ser.results.blocks import Block, Command, Facts, Image, Notice, Picture, Report, ScoreRow, Section, Table, Text
from ser.results.plotting.style import Figure, save

FORMATS = "ser.results.report.formats"
ODD = "50 % of a_b & c|d <e> #1 $x$ {y} \\z ~ ^ \" ' µ 悲 \x1b[1m\nnext"  # characters that formats give a meaning


def blocks(folder: Path) -> dict[str, Block]:
    """One block of each kind, by what it is called."""
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1], [0, 1])
    save(figure, folder / "drawn before.png")
    return {
        "a paragraph": Text("A sentence.", lead=True),
        "a notice": Notice("A heading", ["a line", "another"]),
        "facts": Facts("Facts", [("name", "value")]),
        "a table": Table("A table", ["", "UA"], [["anger", "0.512"], ["joy", "0.734"]], note="A note."),
        "a command": Command("To make it again", "ser fit --dataset d"),
        "an image": Image(folder / "drawn before.png", "A picture that was drawn before."),
        "a picture": Picture("confusion", "What was taken for what", figure, "All were right."),
    }


def promises(name: str) -> Promises:
    """The promises of a format."""
    with TemporaryDirectory() as folder:
        kinds = list(blocks(Path(folder)))
    found: Promises = {"its facts are there": partial(states_facts, name)}
    for kind in kinds:
        found[f"it writes a file of a report with {kind}, and nothing else"] = partial(writes, name, kind)
    found["it writes words with characters that formats give a meaning"] = partial(writes_odd_words, name)
    found["it writes a report with nothing in it"] = partial(writes_report, name, [])
    return found


def states_facts(name: str) -> None:
    """The ending of its files."""
    ending = registry.load(FORMATS, name).ENDING
    good = isinstance(ending, str) and ending.startswith(".") and len(ending) > 1 and "/" not in ending
    hold(good, f"ENDING; expected one such as .md; found {ending!r}")


def writes(name: str, kind: str) -> None:
    """A report of one block."""
    with TemporaryDirectory() as folder:
        writes_report(name, [blocks(Path(folder))[kind]])


def writes_odd_words(name: str) -> None:
    """A report all of whose words have special characters."""
    table = Table(ODD, [ODD, ODD], [[ODD, ODD]], note=ODD)
    writes_report(name, [Text(ODD), Notice(ODD, [ODD]), Facts(ODD, [(ODD, ODD)]), table, Command(ODD, ODD)], ODD)


def writes_report(name: str, of: list[Block], title: str = "A title") -> None:
    """A report on one experiment, with sections of two levels and an appendix."""
    inner = [Section(title, of), Section("Appendix", of, appendix=True)] if of else []
    row = ScoreRow("fit-d", "", "pooled", "UA", 0.6, None, None, None, 1)
    report = Report(title, [Section(title, of, inner)] if of else [], [row] if of else [], [("program", "ser")])
    plugin = registry.load(FORMATS, name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"report{plugin.ENDING}"
        plugin.write(report, path)
        hold(path.is_file(), f"expected the file {path.name}; found {', '.join(p.name for p in Path(folder).iterdir())}")
        strange = sorted(p.name for p in Path(folder).iterdir() if not p.name.startswith("report"))
        hold(not strange, f"expected {path.name}, and a folder beside it at most; found {', '.join(strange)}")
        hold(path.stat().st_size or not of, f"{path.name} is empty")
