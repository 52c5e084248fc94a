"""Read the commands and the Python of the documentation in their order, and run them in a workspace.

As a script it follows one document on corpora of one's own, where `DIR` of a command is the folder of its dataset. Each
step is a process of its own, ended by SIGTERM after the limit. Steps are left out by a pattern, or up to a line; words are
replaced (a published encoder by one that is here):

    python tests/documents.py README.md --workspace W --corpus ravdess=FOLDER --corpus emodb=FOLDER \\
        --minutes 20 --word bert=all-minilm-l6-v2 --without "--dataset meld" --line 49
"""

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "examples/plugin/README.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if "docs/reference/" not in path.as_posix()  # made from the code by `make docs`
    ),
)
SHELL = ("awk",)  # programs that are run beside `ser`
_COMMAND = re.compile(r"(ser|awk|make|pip|git|python3|tensorboard|mlflow|\.venv/bin/[\w-]+|[A-Z_]+=\S+) ")


@dataclass(frozen=True)
class Step:
    """One command or one block of a document.

    Attributes:
        place: the document and the line.
        kind: `ser`, `shell`, `python`, or `other`: what nobody can run without being told how.
        text: what is written there; the continued lines of a command are one.
    """

    place: str
    kind: str
    text: str


def steps(document: str) -> list[Step]:
    """All indented and fenced blocks of a document but those fenced as `text` (what is printed), and `{toctree}` and its kind.

    Of `ser` and the programs of `SHELL` each command is a step by itself.
    """
    return [step for line, block in _blocks(ROOT / document) for step in _split(document, line, block)]


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) of each block."""
    lines = path.read_text(encoding="utf-8").splitlines()
    block: list[str] = []
    fenced = skipped = False
    for number, line in enumerate([*lines, "end"], start=1):
        fence = line.startswith("```")
        skipped = line.startswith(("```text", "```{")) if fence else skipped
        if fenced and skipped and not fence:
            continue
        if fenced and not fence:
            block.append(line)
        elif not fence and line.startswith("    ") and (block or not lines[number - 2].strip()):
            block.append(line[4:])
        elif block and not fence and not line.strip():
            block.append("")
        elif block:
            yield number - len(block), "\n".join(block).rstrip()
            block = []
        fenced = fenced != fence


def _split(document: str, line: int, block: str) -> Iterator[Step]:
    if _COMMAND.match(block):
        rows = block.split("\n")
        while rows:
            command, place = rows.pop(0), f"{document}:{line}"
            line += 1
            while rows and (command.endswith("\\") or command.count("'") % 2):
                command = f"{command.removesuffix(chr(92)).rstrip()}\n{rows.pop(0)}"
                line += 1
            if command:
                program = command.split()[0]
                yield Step(place, "ser" if program == "ser" else "shell" if program in SHELL else "other", command)
    else:
        yield Step(f"{document}:{line}", "python" if _is_python(block) else "other", block)


def _is_python(block: str) -> bool:
    try:
        tree = ast.parse(block)
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom | ast.Assign) for node in tree.body)


def mentioned(document: str) -> list[list[str]]:
    """The commands within sentences, `ser ...`, as words."""
    text = re.sub(r"^(    .*|```.*)$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [quoted.split() for quoted in re.findall(r"`(ser [^`]+)`", text)]


@dataclass
class Reader:
    """Somebody who types what a document says, in a workspace: the current folder.

    Attributes:
        corpora: the folder of each dataset, for `--root DIR`.
        names: what is put in place of the words in capitals, by word.
        variables: what snippets find, and leave.
    """

    corpora: Mapping[str, Path]
    names: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)

    def run(self, step: Step) -> int:
        """Run a step and return its exit code; a snippet raises what it raises."""
        text = re.sub(r"\b[A-Z]+\b", self._named, step.text)
        if step.kind == "python":
            exec(compile(text, step.place, "exec"), self.variables)
            return 0
        if step.kind == "shell":
            return subprocess.run(text, shell=True).returncode
        from ser.cli import main

        return main(self.words(text))

    def _named(self, word: re.Match[str]) -> str:
        return self.names[word[0]]() if word[0] in self.names else word[0]

    def words(self, command: str) -> list[str]:
        """The arguments of a command, without `ser`: files that it names by a pattern, and folders, are filled in."""
        words = shlex.split(command, comments=True)[1:]
        dataset = words[words.index("--dataset") + 1] if "--dataset" in words else ""
        found: list[str] = []
        for before, word in zip(["", *words], words, strict=False):
            if word == "DIR":
                found.append(str(self.corpora[dataset]) if before == "--root" else ".")
            elif "*" in word:
                found += sorted(map(str, Path().glob(word)))
            else:
                found.append(word)
        return found


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", choices=DOCUMENTS)
    parser.add_argument("--workspace", type=Path, required=True, help="made if it is not there; its ser.yaml holds")
    parser.add_argument("--corpus", action="append", default=[], metavar="DATASET=FOLDER")
    parser.add_argument("--minutes", type=float, help="the limit of a step")
    parser.add_argument("--word", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--without", type=re.compile, default="$^", metavar="PATTERN", help="steps to leave out")
    parser.add_argument("--line", type=int, default=1, help="the first line to follow")
    arguments = parser.parse_args()
    corpora = {name: Path(folder).resolve() for name, folder in _pairs(arguments.corpus)}
    arguments.workspace.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.workspace)
    reader, worst = Reader(corpora), 0
    for step in steps(arguments.document):
        if int(step.place.rpartition(":")[2]) < arguments.line:
            continue
        text = step.text
        for old, new in _pairs(arguments.word):
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, text)
        print(f"\n=== {step.place}\n$ {text}", flush=True)
        if step.kind == "other" or arguments.without.search(text):
            print("(left out)")
            continue
        begun = time.monotonic()
        code = _bounded(reader, replace(step, text=text), arguments.minutes)
        print(f"=== exit code {code} ({time.monotonic() - begun:.0f} s)", flush=True)
        worst = max(worst, abs(code))
    return worst


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


def _bounded(reader: Reader, step: Step, minutes: float | None) -> int:
    """Run a step as a process of its own and return its exit code; after the limit it is ended by SIGTERM."""
    python = [sys.executable, "-c", step.text] if step.kind == "python" else [sys.executable, "-m", "ser"]
    try:
        words = {"python": python, "shell": ["sh", "-c", step.text]}.get(step.kind) or [*python, *reader.words(step.text)]
    except KeyError as missing:
        print(f"no folder of {missing}: give --corpus {missing.args[0]}=FOLDER")
        return 2
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(words, env=os.environ | {"PYTHONPATH": paths}) as process:
        try:
            return process.wait(None if minutes is None else 60 * minutes)
        except subprocess.TimeoutExpired:
            print(f"longer than {minutes:g} minutes: ended by SIGTERM", flush=True)
            process.terminate()
            return process.wait()


if __name__ == "__main__":
    sys.exit(_main())
