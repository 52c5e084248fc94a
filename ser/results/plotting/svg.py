"""A figure as SVG that is part of a page: text stays text, plain black takes the page's colour, nothing is fetched."""

import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from ser.results.blocks import UNPRINTABLE

BLACK = "#000000"


def inline(figure: Figure, prefix: str, label: str, words: str) -> str:
    """Draw a figure as SVG for the body of a page.

    Args:
        figure: drawn without a background.
        prefix: of all ids, so that those of several figures on a page differ.
        label, words: title and description for readers who do not see it; plain text.
    """
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": prefix, "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = UNPRINTABLE.sub("\ufffd", out.getvalue())
    text = text[text.index("<svg") :]
    for part in (r"<metadata>.*?</metadata>", r"<style[^>]*>.*?</style>", r"<!--.*?-->"):
        text = re.sub(part, "", text, flags=re.DOTALL)
    text = _own_ids(text, prefix)
    text = text.replace("xlink:href", "href").replace(BLACK, "currentColor")
    text = re.sub(r"font: (?:bold |italic )?([0-9.]+px)[^;\"]*", r"font-size: \1", text)
    size = _size(text)
    head = f'<svg viewBox="0 0 {size[0]:g} {size[1]:g}" role="img" aria-labelledby="{prefix}-t {prefix}-d" fill="currentColor">'
    named = f'<title id="{prefix}-t">{_escaped(label)}</title><desc id="{prefix}-d">{_escaped(words)}</desc>'
    return head + named + re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :]).strip()


def width(figure: Figure) -> int:
    """The width of a figure at its own size, in CSS pixels."""
    return round(96 * float(figure.get_figwidth()))


def _own_ids(text: str, prefix: str) -> str:
    """Give ids and references to them a prefix; ids without a reference are left out."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)


def _size(text: str) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', text)
    assert found is not None
    return float(found[1]), float(found[2])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
