"""Installation of the package: an editable installation is the folder itself; extras are documented."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_an_editable_installation_is_the_folder_on_the_path(tmp_path: Path) -> None:
    """Otherwise `import ser` in the parent of a clone named `ser` is the clone, as a namespace without anything in it."""
    pytest.importorskip("setuptools", minversion="77")
    clone = tmp_path / "ser"
    (clone / "ser").mkdir(parents=True)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "ser/__init__.py"):
        shutil.copy(ROOT / name, clone / name)
    code = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=clone, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        paths = [name for name in archive.namelist() if name.endswith(".pth")]
        assert [archive.read(name).decode().strip() for name in paths] == [str(clone)]


def _extras() -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "setup.cfg")
    return dict(parser["options.extras_require"])


def test_the_documented_extras_are_those_that_there_are() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    extras = _extras()
    assert {name for name, _ in rows} == set(extras)
    included = set(re.findall(r"%\((\w+)\)s", extras["all"]))
    left_out = set(re.findall(r"`(\w+)`", dict(rows)["all"]))
    assert included | left_out == set(extras) - {"all", "dev"}
    assert not included & left_out
    for name, adds in rows:
        for package in (
            re.findall(r"^[\w-]+", extras[name], re.MULTILINE) if name not in ("all", "dev", "encoders") else ()
        ):
            assert package in adds, f"{name} adds {package}"


def test_the_readme_links_every_page() -> None:
    more = (ROOT / "README.md").read_text(encoding="utf-8").split("## More")[1]
    linked = set(re.findall(r"\(docs/([\w-]+\.md)\)", more))
    assert linked == {p.name for p in (ROOT / "docs").glob("*.md")}
