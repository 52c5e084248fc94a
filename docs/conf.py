"""Settings of the documentation site, which `make docs` builds with Sphinx, furo and MyST.

The source is the whole repository, so that links between README, docs/ and benchmarks/ are the same here and where files are
read one by one. The sections of the navigation are those of docs/index.md. The reference is written into docs/reference/ by
reference.py, from the code, before each build.
"""

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import reference  # noqa: E402

import ser  # noqa: E402

project = "ser"
author = "the authors of ser"
version = release = ser.__version__
html_title = f"ser {release}"
root_doc = "docs/index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/*.md", "docs/**.md"]
exclude_patterns = [".*", "build", "ser", "tests", "examples", "**/__pycache__"]
language = "en-GB"
smartquotes = False  # `--runs` is not a dash

myst_heading_anchors = 4  # the anchors of headings are those that GitHub gives them
myst_enable_extensions = ["deflist"]

default_role = "code"  # docstrings have `names` within one pair of backticks
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)\.md(?:#[^)\s]*)?\)")


def navigation(text: str, pages: set[str]) -> str:
    """The index with a hidden table of contents for each of its sections, made of the links in it.

    The reference joins the section of that name. Pages that no section links are listed in one more section, so that a new
    page is there before anyone has found a place for it.

    Args:
        text: docs/index.md.
        pages: the names of all pages, without their ending.
    """
    sections: dict[str, dict[str, str]] = {}  # of each the names of its pages, and what they are called
    for title, body in SECTION.findall(text):
        named = {(HERE / link).resolve().relative_to(ROOT).as_posix(): words for words, link in LINK.findall(body)}
        sections[title] = {name: words[0].upper() + words[1:] for name, words in named.items() if name in pages}
    made = sorted(page for page in pages if re.fullmatch(r"docs/reference/[\w-]+", page))
    sections["Reference"] = dict.fromkeys(made, "") | sections.get("Reference", {})
    listed = {page for of in sections.values() for page in of} | {root_doc}
    rest = sorted(page for page in pages - listed if not page.startswith("docs/reference/"))
    if rest:
        sections["More"] = dict.fromkeys(rest, "")
        text += "\n\n## More\n\n" + "\n".join(f"- [](/{page}.md)" for page in rest) + "\n"
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *map(_entry, of.items()), "```"])
        for title, of in sections.items()
        if of
    ]
    return text + "\n\n" + "\n\n".join(trees) + "\n"


def _entry(named: tuple[str, str]) -> str:
    page, words = named
    return f"{words} </{page}>" if words else f"/{page}"


def _read(app: Any, docname: str, source: list[str]) -> None:
    if docname == root_doc:
        source[0] = navigation(source[0], set(app.env.found_docs))


def _signature(app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, annotation: Any) -> Any:
    """The parameters of a function, without types, which the text has; options of experiments have a page of their own."""
    if signature is None or not callable(obj):
        return None
    shown = [p.replace(annotation=p.empty) for p in inspect.signature(obj).parameters.values()]
    if hasattr(obj, "without"):
        shown = [p for p in shown if p.name not in reference.options_of_experiments()]
        shown.append(inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD))
    return str(inspect.Signature(shown)), None


def _docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if hasattr(obj, "without"):
        end = lines.index("Options:")
        lines[end:] = ["See :doc:`options` for the options of experiments.", ""]


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from other packages, such as the requests of metadata of scikit-learn."""
    return None if what != "class" or getattr(obj, "__module__", "ser").partition(".")[0] == "ser" else True


def _highlight(app: Any, tree: Any) -> None:
    """Indented blocks name no language: what Python can parse is Python, commands are those of a shell."""
    from docutils import nodes

    for block in tree.findall(nodes.literal_block):
        if block.get("language") in (None, "none", "default"):
            block["language"] = language_of(block.astext())


def language_of(block: str) -> str:
    """`python`, `bash` or `text`."""
    programs = "arecord|awk|curl|eval|git|make|mkdir|mlflow|pip|pipx|python|python3|ser|source|tensorboard"
    if re.match(rf"({programs}|\.venv/bin/\S+) ", block):
        return "bash"
    try:
        statements = ast.parse(block).body
    except SyntaxError:
        return "text"
    return "python" if any(isinstance(s, ast.Import | ast.ImportFrom | ast.Assign) for s in statements) else "text"


def _accessible(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Add what the theme leaves out: levels of the headings of the navigation, and the keyboard for blocks that scroll."""
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')
    body = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
    # Between a parameter and its text, as smart quotes would have it.
    body = re.sub(r"(<strong>\w+</strong>(?: \(.*?\))?) -- ", r"\1 – ", body)
    context["body"] = re.sub(r"<th class=\"head\"><p></p></th>", "<td></td>", body)
    for part in ("furo_navigation_tree", "toctree"):
        if isinstance(context.get(part), str):
            context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')


def _redirect(app: Any, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        index = f"{root_doc}.html"
        page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html_title}</title>'
        page += f'<meta http-equiv="refresh" content="0; url={index}"><a href="{index}">{html_title}</a></html>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> None:
    """Connect what is made at the time of the build."""
    app.connect("config-inited", lambda *_: reference.write(HERE / "reference"))
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon reads it
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _highlight)
    app.connect("html-page-context", _accessible, priority=900)  # after the theme
    app.connect("build-finished", _redirect)
