"""The documentation site: its navigation, and the pages of reference that are made from the code.

Sphinx itself is run by `make docs`.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ser import registry
from ser.cli import cli

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """The settings of the site, and by `conf.reference` the writer of the reference."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("ser_docs_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def pages(conf: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of reference, by their names below its folder."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "commands").mkdir()
    (folder / "commands" / "gone.md").write_text("a command that is no more")
    conf.reference.write(folder)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}


def test_the_sections_of_the_index_are_those_of_the_navigation(conf: ModuleType) -> None:
    text = "# T\n\n## Start\n\n- [first steps](a.md#top), [B](../B.md)\n\n## Reference\n\n- [Files](files.md)\n"
    made = conf.navigation(text, {"docs/index", "docs/a", "B", "docs/files", "docs/reference/x", "docs/reference/x/y"})
    assert re.findall(r":caption: (.+)", made) == ["Start", "Reference"]
    entries = [line for line in made.split("\n") if line.endswith(">") or line.startswith("/")]
    assert entries == ["First steps </docs/a>", "B </B>", "/docs/reference/x", "Files </docs/files>"]


def test_a_page_that_no_section_links_is_listed(conf: ModuleType) -> None:
    made = conf.navigation("# T\n\n## Start\n\n- [A](a.md)\n", {"docs/index", "docs/a", "docs/new"})
    assert made.index("## More") < made.index("- [](/docs/new.md)") < made.index(":caption: More") < made.rindex("/docs/new")


def test_every_command_and_plugin_has_its_place(pages: dict[str, str]) -> None:
    commands = {f"commands/{name}.md" for name in registry.names("ser.commands")}
    assert {name for name in pages if name.startswith("commands/")} == commands
    for kind, package in registry.kinds().items():
        if kind != "command":
            text = pages[f"plugins/{kind.replace(' ', '-')}.md"]
            assert tuple(re.findall(r"^## (\S+)$", text, re.MULTILINE)) == registry.names(package)


def test_every_option_of_fit_is_listed_once(pages: dict[str, str]) -> None:
    listed = re.findall(r"^\| `(--[\w-]+)", pages["commands/fit.md"], re.MULTILINE)
    fit = cli.get_command(None, "fit")  # type: ignore[arg-type]
    assert fit is not None
    common = {"--workspace", "--config", "--part", "--quiet", "--verbose"}
    assert listed == [option.opts[0] for option in fit.params if option.opts[0] not in common]
    assert common <= set(re.findall(r"`(--[\w-]+)", pages["commands.md"]))


def test_tables_have_as_many_cells_in_every_row(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        for table in re.findall(r"(?:^\|.*\n)+", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, f"{name}: {table[:80]}"


def test_what_markdown_would_take_for_markup_is_escaped(conf: ModuleType) -> None:
    assert conf.reference.plain("a *b* [c] | <d>\n  and `e|*f*`") == r"a \*b\* \[c\] \| \<d\> and `e\|*f*`"


@pytest.mark.parametrize(
    ("block", "language"),
    [("ser fit --runs 5", "bash"), ("import ser\nser.fit('a')", "python"), ("results/NAME.json   a summary", "text")],
)
def test_the_language_of_an_indented_block(conf: ModuleType, block: str, language: str) -> None:
    assert conf.language_of(block) == language
