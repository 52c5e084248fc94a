"""The notebooks of examples/notebooks run, and show texts, tables and pictures: no addresses, no warnings."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from ser.cli import main

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
WORDS = {"first_fit": "UA 0.", "compare_encoders": "A - B: UA "}


def test_the_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All in one kernel, whose start takes longer than their cells."""
    client, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    assert set(notebooks) == set(WORDS)
    for name, notebook in notebooks.items():
        nbformat.validate(notebook)
        for cell in notebook.cells:
            cell["id"] = f"{name}-{cell['id']}"  # one of each in the whole
        assert all(not cell.get("outputs") for cell in notebook.cells), "kept without outputs, which name a machine"

    def commands_here(cell: Any, cell_index: int) -> None:
        """Run the commands of a cell in this process, which has imported all; the kernel says that they are those."""
        lines = []
        for line in cell.source.split("\n"):
            if line.startswith("!"):
                workspace = max(tmp_path.glob("*/corpora"), key=lambda path: path.stat().st_mtime_ns).parent
                command = line[1:].format(sys=sys, workspace=workspace, corpus=workspace / "corpora" / "demo")
                python, module, package, *words = shlex.split(command)
                assert (python, module, package, main(words)) == (sys.executable, "-m", "ser", 0)
                line = f"assert f{line[1:]!r} == {command!r}"
            lines.append(line)
        cell.source = "\n".join(lines)

    whole = nbformat.v4.new_notebook(cells=[cell for notebook in notebooks.values() for cell in notebook.cells])
    client.NotebookClient(whole, timeout=600, kernel_name="python3", on_cell_execute=commands_here).execute()
    assert capsys.readouterr() == ("", "")
    for name, notebook in notebooks.items():
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        said = "".join(output.get("text", "") for output in outputs)
        shown = "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
        tables = [html for output in outputs if (html := output.get("data", {}).get("text/html"))]
        assert not re.search("[Ww]arning|Error", said), said
        assert not re.search(r" at 0x[0-9a-f]{6,}", said + shown + "".join(tables))
        assert WORDS[name] in shown
        assert any("ser-record" in html for html in tables)
        assert any("image/png" in output.get("data", {}) for output in outputs)
        assert all(output.output_type != "error" for output in outputs)
