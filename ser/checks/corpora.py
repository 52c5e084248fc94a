"""The promises of a corpus: its facts, and the rows of the tree that its own `example(root)` writes."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ser import registry
from ser.checks import Promises, hold
from ser.errors import SerError
from ser.metadata.corpus import CORPORA, corpus, parse_corpus
from ser.metadata.labels import CANONICAL
from ser.metadata.schema import COLUMNS


def promises(name: str) -> Promises:
    """The promises of a corpus."""
    found: Promises = {"its facts are there": partial(states_facts, name)}
    if not hasattr(corpus(name), "example"):

        def lacks() -> None:
            hold(False, "expected example(root), which writes a tiny tree of its layout and gives its root; there is none")

        return found | {"a tree of its layout is parsed": lacks}
    return found | {
        "a tree of its layout is parsed": partial(_in_folder, parses_its_example, name),
        "a parse is the same twice, and blind to hidden files": partial(_in_folder, parses_the_same_twice, name),
        "a folder of something else is refused in one line": partial(_elsewhere, name),
    }


def _in_folder(holds: Callable[[str, Path], None], name: str) -> None:
    with TemporaryDirectory() as folder:
        holds(name, Path(corpus(name).example(Path(folder) / "tree")))


def _elsewhere(name: str) -> None:
    with TemporaryDirectory() as folder:
        refuses_something_else(name, Path(folder))


def states_facts(name: str) -> None:
    """The constants of the file."""
    plugin = corpus(name)
    for fact in ("TITLE", "CITATION", "LICENCE", "TREE"):
        hold(getattr(plugin, fact).strip(), f"{fact} is empty")
    hold(plugin.LANGUAGE == "" or len(plugin.LANGUAGE) == 2, f"LANGUAGE; expected two letters; found {plugin.LANGUAGE!r}")
    hold(plugin.LABELS, "LABELS is empty")
    strange = set(plugin.LABELS.values()) - {*CANONICAL, ""}
    hold(not strange, f"LABELS; expected emotions of {', '.join(CANONICAL)}; found {', '.join(map(repr, strange))}")
    for number in (plugin.UTTERANCES, plugin.SENTENCES):
        hold(number is None or number > 0, f"UTTERANCES and SENTENCES; expected a number or None; found {number}")
    hold(plugin.UTTERANCES is None or plugin.URL.startswith("http"), "URL; expected an address, as it is a published corpus")
    hold((registry.load(CORPORA, name).__doc__ or "").strip(), "expected a docstring that says what it is")
    hold(isinstance(getattr(plugin, "NOTES", ()), tuple), "NOTES; expected a tuple of sentences")


def parses_its_example(name: str, root: Path) -> None:
    """Columns, labels, files, ratings and sentences are those that the facts state."""
    plugin = corpus(name)
    table = parse_corpus(name, root)
    frame = table.frame
    dimensions = getattr(plugin, "DIMENSIONS", {})
    columns = [*COLUMNS, *(name for name in dimensions if name not in COLUMNS)]
    hold(list(frame.columns) == columns, f"columns; expected {columns}; found {list(frame.columns)}")
    for dimension, (low, high) in dimensions.items():
        known = frame[dimension].dropna()
        hold(len(known) and known.between(low, high).all(), f"{dimension}; expected values from {low} to {high}")
        hold(table.dimensions[dimension] == {"low": low, "high": high}, f"the table has another scale of {dimension}")
    hold(len(frame) >= 2, f"expected two utterances or more; found {len(frame)}")
    hold((frame["label"] != "").all(), "an utterance has no label")
    for label, emotion in zip(frame["label"], frame["emotion"], strict=True):
        if ";" in label:  # several at once: the emotion is that of one of them, or none
            several = {"", *(plugin.LABELS[part] for part in label.split(";"))}
            hold(emotion in several, f"label {label}; expected one of {sorted(several)}; found {emotion!r}")
            continue
        expected = plugin.LABELS.get(label, plugin.LABELS.get(label.lower(), "other"))
        hold(emotion == expected, f"label {label}; expected the emotion {expected!r}; found {emotion!r}")
        hold(label in plugin.LABELS or not plugin.URL, f"label {label} is not in LABELS; only one's own corpora invent some")
    hold(frame["path"].ne("").any(), "no utterance has a path")
    for path in frame["path"]:
        hold(path == "" or (table.root / path).is_file(), f"there is no file {path}")
    if plugin.LANGUAGE:
        hold((frame["language"] == plugin.LANGUAGE).all(), f"expected the language {plugin.LANGUAGE} of all")
    if plugin.SENTENCES is not None:
        texts, prompts = (set(frame[column]) - {""} for column in ("text", "prompt"))
        most = max(len(texts), len(prompts))
        hold(1 <= most <= plugin.SENTENCES, f"expected 1 to {plugin.SENTENCES} sentences; found {most}")
        hold(not texts or (frame["text"] != "").all(), "some utterances have a text and some have none")
    own = hasattr(plugin, "facts")  # the source's own
    hold(table.facts["licence"] == plugin.LICENCE or own, "the table has another licence")
    hold(table.facts["citation"] == plugin.CITATION, "the table has another citation")
    hold(table.facts["utterances_of_release"] == plugin.UTTERANCES, "the table has another number of utterances")
    folds = getattr(plugin, "EMOBOX_FOLDS", None)
    if folds is not None:
        named = {speaker for fold in folds for speaker in fold}
        hold(len(named) == sum(map(len, folds)), "a speaker is in two of EMOBOX_FOLDS")
        hold(set(frame["speaker"]) <= named, "a speaker is in none of EMOBOX_FOLDS")


def parses_the_same_twice(name: str, root: Path) -> None:
    """Also beside the hidden copies that an archive made by macOS leaves."""
    first = parse_corpus(name, root).frame
    below = root if root.is_dir() else root.parent
    for file in [p for p in below.rglob("*") if p.is_file()]:
        shutil.copy(file, file.with_name(f"._{file.name}"))
    hold(parse_corpus(name, root).frame.equals(first), "hidden files (._NAME) change the rows")


def refuses_something_else(name: str, folder: Path) -> None:
    """A folder with other files, and one that is not there."""
    (folder / "empty").mkdir()
    (folder / "empty" / "readme.txt").write_text("nothing here")
    for root, words in ((folder / "empty", ""), (folder / "nowhere", "there is no")):
        try:
            parse_corpus(name, root)
        except SerError as error:
            hold("\n" not in str(error) and words in str(error), f"expected one line; found {error}")
        else:
            hold(False, f"the folder {root.name} has no such corpus; expected an error in one line; found none")
