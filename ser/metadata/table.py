"""The utterance table: one row an utterance, the same columns for every corpus, and a sidecar that says whence it came.

`metadata/NAME.csv` holds the rows, `metadata/NAME.json` the facts: corpus, release, root, licence, citation, counts and
the SHA-256 of the CSV's bytes.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from ser import registry
from ser.errors import CorpusError
from ser.metadata.copies import Copies, read_copies
from ser.metadata.csvtext import from_csv, to_csv
from ser.metadata.ledger import IMPORTED
from ser.metadata.schema import COLUMNS, TEXT, check_name, validate
from ser.workspace import Workspace, writing

CORPORA = "ser.metadata.corpora"
__all__ = ["COLUMNS", "CORPORA", "Corpus", "Table", "corpus", "load_table", "make_table", "parse_corpus", "read_table"]
__all__ += ["write_table"]


class Corpus(Protocol):
    """What a plugin in `ser/metadata/corpora/` holds: facts as constants, then `parse`.

    A row that `parse` yields is a dict of any of `COLUMNS` with at least `utterance_id`, `label`, `emotion`; None is an
    empty cell, votes are a dict. What `parse` leaves out it notes (`ser.metadata.parsing.left_out`).

    A plugin may also have `RELEASE` (which one the facts are of), `NOTES` (a tuple of sentences that a user should know),
    `EMOBOX_FOLDS` (speakers of each test fold of the EmoBox benchmark, in fold order), `LANGUAGES` (where rows differ) and
    `SYNTHETIC` (true: no recording of people); and functions: `facts(root)`, entries of the sidecar that differ from the
    constants, and `folds(root)`, published folds as lines of `ser.metadata.foldfile`.
    """

    TITLE: str
    CITATION: str
    LICENCE: str
    URL: str
    LANGUAGE: str  # ISO 639-1; "" where it differs between rows or is not known
    TREE: str  # the expected layout, as a drawing
    LABELS: dict[str, str]  # the corpus's label -> canonical emotion, "" for one that is no emotion
    UTTERANCES: int | None  # rows of the whole release
    SENTENCES: int | None  # size of the fixed set of sentences; None where speech is free

    def parse(self, root: Path) -> Iterable[dict[str, Any]]:
        """Read a corpus folder into rows."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """An utterance table and its facts.

    Attributes:
        frame: one row an utterance with the columns of `COLUMNS`; text is "" where there is none, numbers NaN.
        dataset: the name in the workspace.
        facts: the sidecar: corpus, root, licence, citation, language, sentences, counts, sha256 and others.
        path: the file it was read from; None for one that was just made.
        copies: audio that is in it twice, where `ser audit` has looked for it.
    """

    frame: pd.DataFrame
    dataset: str
    facts: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    copies: Copies | None = None

    @property
    def ids(self) -> list[str]:
        return list(self.frame["utterance_id"])

    @property
    def root(self) -> Path:
        """The corpus folder that `path` is relative to."""
        return Path(self.facts.get("root", "."))

    @property
    def folds_file(self) -> Path | None:
        """The published folds that lie beside the table, if there are any."""
        file = self.path.parent / "folds" / self.path.name if self.path else None
        return file if file is not None and file.is_file() else None

    @property
    def sentences(self) -> int | None:
        """How many fixed sentences the corpus has; None where speech is free."""
        return cast("int | None", self.facts.get("sentences"))

    @property
    def sha256(self) -> str:
        return str(self.facts.get("sha256", ""))

    def has(self, column: str) -> bool:
        """Whether any row has a value in the column."""
        values = self.frame[column]
        return bool((values != "").any() if COLUMNS[column] == TEXT else values.notna().any())


def corpus(name: str) -> Corpus:
    """The corpus plugin of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name not in registry.names(CORPORA):
        raise registry.unknown("corpus", name, registry.names(CORPORA))
    return cast(Corpus, registry.load(CORPORA, name))


def parse_corpus(name: str, root: Path, dataset: str | None = None) -> Table:
    """Parse a corpus folder (or file) with a plugin.

    Args:
        name: the plugin.
        root: the corpus folder, or the file for plugins that read one.
        dataset: name of the table; the plugin's name by default.

    Raises:
        CorpusError: the folder is not there, is not laid out as the plugin expects, or its rows are not valid.
    """
    plugin = corpus(name)
    if not root.exists():
        raise CorpusError(
            f"{plugin.TITLE}: there is no {root}",
            expected=f"a tree like: {' | '.join(plugin.TREE.strip().splitlines())}",
            action="Give the corpus folder with --root.",
        )
    rows = list(plugin.parse(root))
    if not rows:
        raise CorpusError(
            f"{plugin.TITLE}: no utterance found in {root}",
            expected=f"a tree like: {' | '.join(plugin.TREE.strip().splitlines())}",
            action="Give the folder that holds this tree with --root.",
        )
    return make_table(rows, dataset or name, facts=_facts(plugin, name, root))


def _facts(plugin: Corpus, name: str, root: Path) -> dict[str, Any]:
    facts = {
        "corpus": name,
        "title": plugin.TITLE,
        "release": getattr(plugin, "RELEASE", None),
        "root": str((root if root.is_dir() else root.parent).resolve()),
        "licence": plugin.LICENCE,
        "citation": plugin.CITATION,
        "language": plugin.LANGUAGE,
        "sentences": plugin.SENTENCES,
        "utterances_of_release": plugin.UTTERANCES,
        "synthetic": (root / "SYNTHETIC.txt").is_file(),
    }
    own = getattr(plugin, "facts", None)
    facts |= own(root) if own else {}
    if facts["synthetic"]:  # the corpus's layout, but nothing of the corpus
        licence = "none needed: synthesised, no recording of people"
        facts |= {"title": f"SYNTHETIC speech in the layout of {plugin.TITLE}", "licence": licence, "citation": ""}
        facts |= {"release": None, "utterances_of_release": None}
    return facts


def make_table(rows: Iterable[dict[str, Any]], dataset: str, facts: dict[str, Any] | None = None) -> Table:
    """Rows of any subset of the columns -> a validated table, in the order given.

    Raises:
        CorpusError: an unknown column, a missing or duplicated id, or a value that is not allowed.
    """
    listed = list(rows)
    strange = sorted({str(key) for row in listed for key in row} - set(COLUMNS))
    if strange:
        raise CorpusError(f"{dataset}: unknown column {strange[0]!r}", expected=f"columns among {', '.join(COLUMNS)}")
    columns: dict[str, Any] = {}
    for name, kind in COLUMNS.items():
        values = [row.get(name) for row in listed]
        if kind == TEXT:
            columns[name] = pd.Series([_text(v) for v in values], dtype=object)
        else:
            numbers = [_number(v, dataset, name, n) for n, v in enumerate(values, start=1)]
            columns[name] = pd.Series(numbers, dtype=float)
    frame = pd.DataFrame(columns)
    facts = dict(facts or {})
    frame.loc[frame["language"] == "", "language"] = facts.get("language") or ""
    frame.loc[(frame["text"] != "") & (frame["text_source"] == ""), "text_source"] = "corpus"
    validate(frame, check_name(dataset), bare=facts.get("features") == IMPORTED)
    facts["dataset"] = dataset
    facts["counts"] = {
        "utterances": len(frame),
        "speakers": len(set(frame["speaker"]) - {""}),
        "hours": round(float(frame["duration"].sum()) / 3600, 4),
        "emotions": {str(e): int(n) for e, n in frame["emotion"].value_counts().items()},
    }
    return Table(frame, dataset, facts)


def _text(value: Any) -> str:
    """A cell as text: nothing is "", votes are JSON, and a number stays as it was written (pandas would make 1 to 1.0)."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _number(value: Any, dataset: str, column: str, row: int) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise CorpusError(f"{dataset}: column {column}, row {row}", expected="a number", found=repr(value))
    return number


def write_table(table: Table, workspace: Workspace) -> Path:
    """Write `metadata/NAME.csv` and its sidecar; returns the CSV's path.

    The sidecar is renamed first: a dataset is there when its CSV is, and then its facts are.
    """
    path = workspace.table(check_name(table.dataset))
    with writing(path) as temporary:
        content = to_csv(table.frame, COLUMNS)
        temporary.write_bytes(content)
        table.facts["sha256"] = hashlib.sha256(content).hexdigest()
        with writing(path.with_suffix(".json")) as sidecar:
            sidecar.write_text(json.dumps(table.facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_table(path: Path) -> Table:
    """Read a table and its sidecar.

    Raises:
        CorpusError: the file is missing, damaged or not valid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"cannot read the table {path}", found=error.strerror) from None
    rows = from_csv(content, f"the table {path}")
    sidecar = path.with_suffix(".json")
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.exists() else {}
    except ValueError as error:
        raise CorpusError(
            f"{sidecar} is damaged", expected="JSON", found=str(error), action="Make the table anew with ser metadata."
        ) from None
    table = make_table(rows, path.stem, facts)
    table.facts["sha256"] = hashlib.sha256(content).hexdigest()
    return replace(table, path=path)


def load_table(dataset: str, workspace: Workspace | str | Path = ".") -> Table:
    """The table of a dataset in a workspace.

    Raises:
        CorpusError: the workspace has no such table; the message lists those it has.
    """
    space = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    if dataset not in space.datasets():
        raise CorpusError(
            f"there is no table {space.table(dataset)}",
            expected=f"one of {', '.join(space.datasets())}" if space.datasets() else "a table",
            action=f"Make it with: ser metadata --dataset {dataset} --root DIR",
        )
    table = read_table(space.table(dataset))
    return replace(table, copies=read_copies(space, dataset, table.sha256))
