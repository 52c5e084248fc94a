"""A file or a folder is swapped whole: a fault or a kill at any time leaves the old one or the new one."""

from pathlib import Path

import pytest

from ser.workspace import writing, writing_folder


def _folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    return path


def _names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = _folder(tmp_path)
    with writing_folder(path) as aside:
        (aside / "inner").mkdir()
        (aside / "inner" / "new").write_text("new")
        assert _names(path) == ["old"]
    assert _names(path) == ["inner"]
    assert _names(tmp_path) == ["model"]


def test_a_fault_leaves_the_old_one(tmp_path: Path) -> None:
    path = _folder(tmp_path)
    with pytest.raises(OSError, match="full"), writing_folder(path):
        raise OSError("full")
    assert (_names(path), _names(tmp_path)) == (["old"], ["model"])


def test_a_fault_between_the_renames_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _folder(tmp_path)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no"), writing_folder(path) as aside:
        (aside / "new").write_text("new")
    assert (_names(path), _names(tmp_path)) == (["old"], ["model"])


def test_what_a_kill_between_the_renames_left_is_put_back(tmp_path: Path) -> None:
    path = _folder(tmp_path)
    (tmp_path / ".model.writing").mkdir()
    path.rename(tmp_path / ".model.writing" / "before")
    with pytest.raises(OSError, match="full"), writing_folder(path):
        raise OSError("full")
    assert (_names(path), _names(tmp_path)) == (["old"], ["model"])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = _folder(tmp_path), tmp_path / "link"
    link.symlink_to(path)
    with writing_folder(link) as aside:
        (aside / "new").write_text("new")
    assert link.is_symlink()
    assert (_names(path), _names(tmp_path)) == (["new"], ["link", "model"])


def test_two_machines_with_one_process_number_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with writing(path) as one:
        one.write_text("one")
        with writing(path) as other:  # a process of the same number, on another machine
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    assert _names(tmp_path) == ["record.json"]
