"""A table as CSV text that reads back as it was: fields with a line break of any kind are quoted, whole numbers have no point.

pandas and Python's own writer leave a lone carriage return unquoted, and pandas reads `NA`, `01` and `1` as what they
are not.
"""

import csv
import io
import math
import re
from typing import Any

import pandas as pd

from ser.errors import CorpusError
from ser.metadata.schema import TEXT

_QUOTE = re.compile(r'[",\r\n]|^\s|\s$')


def to_csv(frame: pd.DataFrame, columns: dict[str, str]) -> bytes:
    """UTF-8 with `\\n` after each row.

    Raises:
        CorpusError: a text that is not Unicode (a file name of undecodable bytes, say).
    """
    parts = [[_quoted(v) for v in frame[c]] if k == TEXT else [_plain(v) for v in frame[c]] for c, k in columns.items()]
    lines = [",".join(columns), *(",".join(row) for row in zip(*parts, strict=True))]
    try:
        return ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError as error:
        bad = error.object[max(0, error.start - 40) : error.end].rsplit("\n", 1)[-1]
        raise CorpusError(f"the table holds text that is not Unicode: {bad!r}", action="Rename that file.") from None


def from_csv(content: bytes, what: str) -> list[dict[str, Any]]:
    """Rows by column name.

    Args:
        content: the file's bytes.
        what: what to call it in an error.

    Raises:
        CorpusError: no CSV of UTF-8 text, or a row of another length than the header.
    """
    csv.field_size_limit(2**31 - 1)  # one long transcript is no damage
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        rows = []
        for number, row in enumerate(reader, start=1):
            if len(row) != len(header):
                raise CorpusError(f"{what}, row {number}", expected=f"{len(header)} fields", found=len(row))
            rows.append(dict(zip(header, row, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{what} is no CSV", found=str(error)) from None
    if not header:
        raise CorpusError(f"{what} is empty", expected="a header and a row an utterance")
    return rows


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTE.search(text) else text


def _plain(number: float) -> str:
    if math.isnan(number):
        return ""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
