"""One HTML page that opens from disk, light and dark, made for screen readers too; nothing in it is fetched from elsewhere."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ser.results.blocks import UNPRINTABLE, Image, Picture, Report, Section
from ser.results.plotting.style import strip_title
from ser.workspace import writing

if TYPE_CHECKING:
    from markupsafe import Markup

ENDING = ".html"
PAGE, FRAGMENT = "page.html.j2", "fragment.html.j2"
WIDE = 600  # pixels: wider figures are scrolled on a small screen, others shrink
BLACK = "#000000"


def write(report: Report, path: Path) -> None:
    """Write the page whole."""
    page = render(report)
    with writing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(report: Report) -> str:
    """The page's text."""
    return _rendered(PAGE, report, report.sections)


def fragment(report: Report) -> str:
    """The first section of a report as a part of another page, such as a notebook."""
    return _rendered(FRAGMENT, report, [replace(section, title=report.title) for section in report.sections[:1]])


def _rendered(template: str, report: Report, sections: Sequence[Section]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ids = Ids()

    def drawn(picture: Picture) -> dict[str, Any]:
        return _drawn(picture, ids("figure"))

    environment.filters["breakable"] = _breakable
    environment.globals |= {"kind_of": lambda block: type(block).__name__.lower(), "drawn": drawn, "embedded": _embedded}
    return environment.get_template(template).render(report=report, parts=[Part.of(s, 2, ids) for s in sections])


class Ids:
    """A source of ids for a page, each different from all before."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, words: str) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "part"
        self._seen[name] = self._seen.get(name, 0) + 1
        return name if self._seen[name] == 1 else f"{name}-{self._seen[name]}"


@dataclass(frozen=True)
class Part:
    """A section with its id and the level of its heading."""

    section: Section
    level: int
    id: str
    parts: list["Part"]

    @classmethod
    def of(cls, section: Section, level: int, ids: Ids) -> "Part":
        name = ids(section.title)
        return cls(section, level, name, [cls.of(s, level + 1, ids) for s in section.sections])


def _breakable(text: str) -> "Markup":
    """Text that may be broken after the signs within names, and nowhere else within a word."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[-_+/.,])(?=[^\W\d])", "<wbr>", str(escape(text))))


def _embedded(image: Image) -> str:
    """The file as the source of an `img`, so that the page needs nothing beside it."""
    return f"data:image/png;base64,{base64.b64encode(image.path.read_bytes()).decode('ascii')}"


def _drawn(picture: Picture, name: str) -> dict[str, Any]:
    """The parts of a picture that the template needs; its title becomes the caption."""
    caption = strip_title(picture.figure)
    width = round(96 * float(picture.figure.get_figwidth()))  # in CSS pixels, at its own size
    code = inline(picture.figure, name, picture.about, picture.words)
    return {"svg": code, "caption": caption, "width": width, "wide": width > WIDE}


def inline(figure: Figure, prefix: str, label: str, words: str) -> str:
    """Draw a figure as SVG for the body of a page: text stays text, plain black takes the page's colour, nothing is fetched.

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
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', text)
    assert size is not None
    width, height = (f"{float(number):g}" for number in size.groups())
    title, description = (escape(said, quote=False) for said in (label, words))
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{prefix}-t {prefix}-d" fill="currentColor">'
    named = f'<title id="{prefix}-t">{title}</title><desc id="{prefix}-d">{description}</desc>'
    return head + named + re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :]).strip()


def _own_ids(text: str, prefix: str) -> str:
    """Give ids and references to them a prefix; ids without a reference are left out."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
