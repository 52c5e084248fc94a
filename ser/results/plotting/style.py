"""The look of all pictures: colours, titles, files. No display is needed.

Colours: one hue from light to dark, and Okabe and Ito's palette (Wong, Nature Methods 2011). People with any common colour
blindness tell both apart, and both differ in grey. Plain black (frames, words, lines of reference) takes the colour of the
text around it where a picture is part of a page; `INK` on a coloured cell stays dark.
"""

from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.backend_bases import RendererBase
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.text import Text as Words

from ser.errors import ConfigError
from ser.results.blocks import printable
from ser.results.records.find import dataset_of
from ser.workspace import writing

FORMATS = (".png", ".svg", ".pdf")
DPI = 150  # of pictures made of pixels
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK = "#111111"  # words on a light cell
SYNTHETIC = "SYNTHETIC audio, no recording of people"
FULL_NAMES = {
    "UA": "UA (unweighted average recall)",
    "WA": "WA (accuracy)",
    "WF1": "weighted F1",
    "Macro_F1": "macro F1",
    "CCC": "CCC (concordance correlation)",
    "PCC": "PCC (Pearson correlation)",
    "RMSE": "RMSE (root mean square error)",
    "F1_macro": "macro F1 over labels",
    "F1_micro": "micro F1 over labels",
    "exact": "exact match",
    "Hamming": "Hamming loss",
    "KL": "KL divergence from the votes, nats",
    "JS": "JS divergence from the votes",
    "cosine": "cosine with the votes",
    "F1_1K": "macro F1 at 1/K",
}


class Figure(MatplotlibFigure):
    """A figure whose words are shown as they are, and that a notebook shows without pyplot or `%matplotlib inline`."""

    def draw(self, renderer: RendererBase) -> None:
        for words in self.findobj(Words):
            words.set_parse_math(False)  # two `$` in names are not a formula
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def require_format(path: Path) -> None:
    """Refuse a file for a picture whose ending is not that of a known format, by a ConfigError."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot plot into {path}", expected=f"a file ending in {', '.join(FORMATS)}")


def save(figure: MatplotlibFigure, path: Path) -> None:
    """Write a figure whole; the same figure gives the same bytes on every day. Errors are those of `require_format`."""
    require_format(path)
    ending = path.suffix.lower()
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": "ser", "svg.fonttype": "none", "pdf.fonttype": 42}), writing(path) as temporary:
        figure.savefig(temporary, format=ending[1:], dpi=DPI, metadata=dates.get(ending, {}))


def as_vector(bar: Colorbar) -> None:
    """Draw a colour bar as shapes without seams, not as an embedded image."""
    assert bar.solids is not None
    bar.solids.set_rasterized(False)
    bar.solids.set_edgecolor("face")


def title(figure: Figure, record: Any, detail: str) -> None:
    """Set the experiment on one line, dataset and detail below; words longer than the picture are cut or wrapped."""
    room = int(figure.get_figwidth() * 11)
    name = printable(record.experiment)
    name = name if len(name) <= room else name[: room - 3] + "..."
    lines = [name, *wrap(printable(f"{dataset_of(record)}, {detail}"), room)]
    lines += [SYNTHETIC] if any("synthetic" in s for s in record.stamps) else []
    figure.suptitle("\n".join(lines), fontsize=10)


def strip_title(figure: MatplotlibFigure) -> str:
    """Remove the title, for a picture with a caption; returns its words except the experiment's name."""
    words = " ".join(figure.get_suptitle().split("\n")[1:])
    figure.suptitle("")
    return words.replace(f" {SYNTHETIC}", f". {SYNTHETIC}")
