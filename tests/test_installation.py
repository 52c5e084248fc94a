"""Installation of the package: an editable installation is the folder itself; extras are documented."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

import ser
from ser.yaml_file import parse_yaml
from tests.conftest import needs_installed

ROOT = Path(__file__).parents[1]
TEXT: dict[str, Any] = {"capture_output": True, "text": True}


def test_an_editable_installation_is_the_folder_on_the_path(tmp_path: Path) -> None:
    """Otherwise `import ser` in the parent of a clone named `ser` is the clone, as a namespace without anything in it."""
    needs_installed("setuptools", 77)
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


FOR_DEVELOPERS = {"docs"}
LEFT_OUT = {"mlflow"} | FOR_DEVELOPERS  # of the extra `all`, which else is all
UNTESTED = {"ray"}  # tests of what is in `all` are skipped without it, as it is large
VERSIONS = [f"3.{minor}" for minor in range(10, 14)]


def _extras() -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "setup.cfg")
    return dict(parser["options.extras_require"])


def test_the_documented_extras_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"), re.MULTILINE)
    extras = _extras()
    assert {name for name, _ in rows} == set(extras)
    included = set(re.findall(r"%\((\w+)\)s", extras["all"]))
    left_out = set(re.findall(r"`(\w+)`", dict(rows)["all"]))
    assert included | left_out == set(extras) - {"all", "dev"}
    assert not included & left_out
    assert left_out <= LEFT_OUT
    assert set(re.findall(r"%\((\w+)\)s", extras["dev"])) == included - UNTESTED | FOR_DEVELOPERS
    for name, adds in rows:
        for package in re.findall(r"^[\w-]+", extras[name], re.MULTILINE) if name not in ("all", "dev", "encoders") else ():
            assert package in adds, f"{name} adds {package}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source distribution, and the wheel that was built from it."""
    needs_installed("setuptools", 77)
    root = tmp_path_factory.mktemp("built")
    source, dist = root / "source", root / "dist"
    files = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
    shutil.copytree(ROOT / "ser", source / "ser", ignore=shutil.ignore_patterns("__pycache__"))
    for name in files:
        shutil.copy(ROOT / name, source / name)
    _build(source, "sdist", dist)
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter="data")
    (unpacked,) = (p for p in root.iterdir() if p.name.startswith("ser-"))
    _build(unpacked, "wheel", dist)
    return dist


def _build(source: Path, kind: str, dist: Path) -> None:
    dist.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(dist)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)


def test_a_wheel_from_the_source_distribution_has_every_file_and_extra(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        facts = BytesParser().parsebytes(archive.read(next(n for n in names if n.endswith("/METADATA"))))
    files = (p for p in (ROOT / "ser").rglob("*") if p.is_file() and p.parent.name != "__pycache__")
    wanted = {str(p.relative_to(ROOT)) for p in files}
    assert {name for name in names if name.startswith("ser/")} == wanted
    assert facts["Version"] == ser.__version__
    assert set(facts.get_all("Provides-Extra", [])) == set(_extras())


def test_it_installs_by_name_and_runs_elsewhere(built: Path, tmp_path: Path) -> None:
    """Into a fresh environment, which sees the packages that ser needs in this one."""
    needs_installed("pip")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    where = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, **TEXT)
    options = [
        "--no-index",
        "--no-deps",
        "--ignore-installed",
        "--no-compile",  # all of its files, of which the commands below import a few
        "--find-links",
        str(built),
        "--prefix",
        str(tmp_path / "env"),
    ]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, "ser"], check=True, **TEXT)
    (Path(where.stdout.strip()) / "others.pth").write_text("\n".join(p for p in sys.path if "site-packages" in p))
    for command in ([tmp_path / "env" / "bin" / "ser"], [python, "-m", "ser"]):
        done = subprocess.run([*command, "--version"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, **TEXT)
        assert done.stdout == f"ser, version {ser.__version__}\n", done.stderr
    found = subprocess.run([python, "-c", "import ser; print(ser.__file__)"], cwd=tmp_path, env={}, check=True, **TEXT)
    assert found.stdout.startswith(str(tmp_path))


def test_the_version_is_in_one_place() -> None:
    for name in ("setup.cfg", "pyproject.toml", "Makefile"):
        assert ser.__version__ not in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_workflow_tests_every_version_that_the_package_names() -> None:
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "setup.cfg").read_text(encoding="utf-8"))
    workflow = parse_yaml((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"), "workflow")
    job = workflow["jobs"]["tests"]
    assert job["strategy"]["matrix"]["python"] == named == VERSIONS
    assert any(step.get("run") == ".ci/run" for step in job["steps"])


def test_readme_and_index_link_every_page() -> None:
    """A page below docs/ is found from one of the two."""
    docs = ROOT / "docs"
    linked = set()
    for page in (ROOT / "README.md", docs / "index.md"):
        links = re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8"))
        linked |= {(page.parent / link).resolve() for link in links if "://" not in link}
    made = docs / "reference"
    pages = {path for path in docs.rglob("*.md") if made not in path.parents}
    assert pages <= linked
    assert all(path.is_file() for path in linked)
