"""Answers of a system as a file has them: a label, or a probability for each of its labels, by utterance.

A table (CSV, TSV, Excel) has one column for each label; JSON lines have an object in each line, whose probabilities are
`{"happy": 0.7, ...}`, a list of `{"label": ..., "score": ...}` (a pipeline of transformers) or two lists, `labels` and `scores`
(funasr). Optional columns: `run`, `fold`, `split`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.importing.feature_files import composed
from ser.metadata.column_names import choose, plain
from ser.metadata.parsing import few
from ser.metadata.table_files import RawRow, read_rows
from ser.metadata.words_in_cells import SPLITS, as_label, said

TOLERANCE = 1e-3  # by which the probabilities of an utterance may miss the sum 1: files often have three decimals
TIE = 1e-6  # by which the answer's own probability may be below the highest
LABEL = ("predicted", "prediction", "pred", "predicted_label", "predicted_emotion", "answer", "label", "emotion")
NESTED = ("probabilities", "probs", "scores", "predictions", "prediction", "predicted")
PREFIX = re.compile(r"^(p|prob|proba|probability)_")
MOST_RUNS = 10_000


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a system.

    Attributes:
        ids: utterance of each answer.
        runs: number of the run.
        folds, splits: "" where the file does not say.
        labels: the system's own label; "" where there is no answer, or where the file has probabilities alone.
        names: the system's labels that there are probabilities of; () where there are labels alone.
        shares: probabilities, `(answers, names)`; a row of NaN where there is no answer.
        unused: columns of the file that were not read.
        of_every_part: true for one answer to each utterance whatever the fold: validation parts have answers too.
    """

    ids: list[str]
    runs: list[int]
    folds: list[str]
    splits: list[str]
    labels: list[str]
    names: tuple[str, ...]
    shares: NDArray[np.float64]
    unused: list[str] = field(default_factory=list)
    of_every_part: bool = False

    @property
    def words(self) -> list[str]:
        """All labels of the system that occur, each once."""
        return list(self.names or dict.fromkeys(word for word in self.labels if word))


def read_answers(
    path: Path, id_column: str | None = None, label: str | None = None, probabilities: Sequence[str] | None = None
) -> Answers:
    """Read the answers of a file.

    Args:
        id_column, label, probabilities: names of columns; None finds them by their usual names.

    Raises:
        ConfigError: there is no such column.
        CorpusError: the file cannot be read, a probability is not one, or those of an utterance do not add up to 1.
    """
    rows, _ = read_rows(path)
    if not rows:
        raise CorpusError(f"{path} has no predictions", expected="a header and one row for each utterance")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    ids = _column(keys, id_column, "--id", path) or choose(keys)[0].get("utterance_id")
    if ids is None:
        raise ConfigError(
            f"{path} does not say which utterance a row is of",
            expected="a column utterance_id, or --id COLUMN",
            found=f"columns {few(keys)}",
        )
    said_by = {plain(key): key for key in reversed(keys)}
    names, shares, used = _shares(rows, keys, probabilities, path)
    own = _column(keys, label, "--label", path)
    if own is None:
        own = next((said_by[name] for name in LABEL if name in said_by and said_by[name] not in used), None)
    if own is None and not names:
        raise ConfigError(
            f"{path} has no predictions",
            expected="a column predicted or --label COLUMN, or columns p_LABEL or --probabilities COLUMN,COLUMN,...",
            found=f"columns {few(keys)}",
        )
    places = {name: said_by.get(name) for name in ("run", "fold", "split")}
    made = Answers(
        ids=[composed(said(row.get(ids))) for row in rows],
        runs=[_run(row.get(places["run"] or ""), where, path) for where, row in enumerate(rows, 1)],
        folds=[said(row.get(places["fold"] or "")) for row in rows],
        splits=[_split(row.get(places["split"] or ""), where, path) for where, row in enumerate(rows, 1)],
        labels=[as_label(row.get(own)) if own is not None else "" for row in rows],
        names=names,
        shares=shares,
        unused=[key for key in keys if key not in {ids, own, *used, *places.values()}],
    )
    nameless = next((k for k, name in enumerate(made.ids, 1) if not name), None)
    if nameless is not None:
        raise CorpusError(f"{path}, row {nameless}: no utterance id", expected=f"an id in column {ids}")
    check(made, str(path))
    return made


def check(answers: Answers, where: str) -> None:
    """Refuse answers whose probabilities are none, or do not go with their labels.

    Raises:
        CorpusError: a probability is not finite or not within 0 and 1, those of an utterance do not add up to 1 within
            `TOLERANCE`, or the label is not the one with the highest.
    """
    if not answers.names:
        return
    shares = answers.shares
    none: NDArray[np.bool_] = np.asarray(np.isnan(shares).all(axis=1))

    def refuse(wrong: NDArray[np.bool_], expected: str, found: NDArray[Any]) -> None:
        if wrong.any():
            first, more = int(wrong.argmax()), int(wrong.sum()) - 1
            raise CorpusError(
                f"{where}: the probabilities of {answers.ids[first]}" + (f" (and {more} more)" if more else ""),
                expected=expected,
                found=found[first],
            )

    strange = (~np.isfinite(shares) | (shares < 0) | (shares > 1)) & ~none[:, None]
    wrong: NDArray[np.bool_] = np.asarray(strange.any(axis=1))
    refuse(wrong, "numbers from 0 to 1", np.array([few(map(_short, row), 12) for row in shares], dtype=object))
    sums = shares.sum(1)
    expected = f"a sum of 1 (within {TOLERANCE:g}): probabilities of all labels, not logits nor the best few alone"
    missed: NDArray[np.bool_] = np.asarray(np.abs(sums - 1) > TOLERANCE)
    refuse(missed & ~none, expected, np.round(sums, 6))
    for k, label in enumerate(answers.labels):
        if not label or none[k]:
            continue
        if label not in answers.names:
            raise CorpusError(
                f"{where}: the label {label!r} of {answers.ids[k]} has no probability", expected=f"one of {few(answers.names)}"
            )
        if shares[k, answers.names.index(label)] < shares[k].max() - TIE:
            raise CorpusError(
                f"{where}: label and probabilities of {answers.ids[k]} do not go together",
                expected=f"{answers.names[int(shares[k].argmax())]}, which has the highest",
                found=label,
                action="If that column is not the prediction, name another with --label.",
            )


def _column(keys: Sequence[str], asked: str | None, option: str, path: Path) -> str | None:
    if asked is not None and asked not in keys:
        raise ConfigError(f"{option} {asked}: {path} has no such column", expected=f"one of {few(keys)}")
    return asked


def _shares(
    rows: Sequence[RawRow], keys: Sequence[str], asked: Sequence[str] | None, path: Path
) -> tuple[tuple[str, ...], NDArray[np.float64], list[str]]:
    """The labels that there are probabilities of, the probabilities `(rows, labels)`, and the columns that they are from."""
    nested = [k for k in keys if plain(k) in NESTED and any(isinstance(row.get(k), (dict, list)) for row in rows)]
    if asked is None and nested:
        each = [_of_object(row, nested[0], f"{path}, row {number}") for number, row in enumerate(rows, 1)]
        names = tuple(dict.fromkeys(name for one in each for name in one))
        block = np.array([[one.get(n, 0.0 if one else np.nan) for n in names] for one in each], dtype=np.float64)
        return names, block, [nested[0], "labels"]
    for key in asked or ():
        _column(keys, key, "--probabilities", path)
    chosen = list(asked or [key for key in keys if PREFIX.match(key)])
    names = tuple(as_label(PREFIX.sub("", key)) for key in chosen)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CorpusError(f"{path}: two columns of probabilities are of {twice!r}", expected="every label once")
    block = np.array(
        [[_number(row.get(k), f"{path}, row {number}: {k}") for k in chosen] for number, row in enumerate(rows, 1)],
        dtype=np.float64,
    ).reshape(len(rows), len(chosen))
    return names, block, chosen


def _of_object(row: RawRow, key: str, where: str) -> dict[str, float]:
    """The probabilities of a JSON object by label; {} where it has none."""
    value = row.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list) and all(isinstance(one, dict) and {"label", "score"} <= set(one) for one in value):
        pairs = [(one["label"], one["score"]) for one in value]
    elif isinstance(value, list) and isinstance(row.get("labels"), list) and len(row["labels"]) == len(value):
        pairs = list(zip(row["labels"], value, strict=True))
    else:
        raise CorpusError(
            f"{where}: {key}",
            expected='{"LABEL": NUMBER, ...}, [{"label": ..., "score": ...}, ...], or a list beside a list "labels"',
            found=_short(value),
        )
    found = {as_label(name): _number(share, f"{where}: {key} of {name!r}") for name, share in pairs}
    if len(found) < len(pairs):
        raise CorpusError(f"{where}: {key} has a label twice", expected="every label once")
    return found


def _number(value: Any, where: str) -> float:
    text = said(value)
    if text == "":
        return float("nan")
    try:
        return float("x" if isinstance(value, bool) else text)
    except ValueError:
        raise CorpusError(where, expected="a number from 0 to 1", found=_short(value)) from None


def _run(value: Any, row: int, path: Path) -> int:
    text = said(value)
    if re.fullmatch(r"\d+(\.0+)?", text) and float(text) < MOST_RUNS:
        return int(float(text))
    if text == "":
        return 0
    raise CorpusError(f"{path}, row {row}: run {text!r}", expected=f"a whole number from 0 to {MOST_RUNS - 1}")


def _split(value: Any, row: int, path: Path) -> str:
    word = said(value).lower()
    if word and word not in SPLITS:
        raise CorpusError(f"{path}, row {row}: split {word!r}", expected=f"one of {', '.join(SPLITS)}")
    return SPLITS.get(word, "")


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
