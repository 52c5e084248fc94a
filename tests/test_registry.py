"""The folder is the registry."""

from pathlib import Path

import pytest

import ser
from ser import registry
from ser.errors import ConfigError

ROOT = Path(ser.__file__).parent
PACKAGES = [
    "ser.commands",
    "ser.metadata.corpora",
    "ser.extract.encoders",
    "ser.train.heads",
    "ser.train.losses",
    "ser.train.adapt",
    "ser.train.fewshot.methods",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_is_a_plugin_and_no_other_name_is(package: str) -> None:
    folder = ROOT.joinpath(*package.split(".")[1:])
    files = {p.stem for p in folder.iterdir() if p.suffix == ".py" and not p.name.startswith("_")}
    assert set(registry.names(package)) == files
    assert files
    assert list(registry.names(package)) == sorted(files)


@pytest.mark.parametrize("package", [p for p in PACKAGES if p != "ser.extract.encoders"])
def test_every_plugin_opens_with_one_line_that_says_what_it_is(package: str) -> None:
    for name in registry.names(package):
        module = registry.load(package, name)
        assert module.__name__ == f"{package}.{name}"
        assert len(registry.summary(module)) > 10, f"{package}.{name} has no docstring"


def test_a_new_file_is_a_new_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "things"
    folder.mkdir()
    for name in ("beta.py", "alpha.py", "_private.py", "__init__.py", "notes.txt"):
        (folder / name).write_text('"""A thing."""\n')
    monkeypatch.setattr(registry, "_HERE", tmp_path)
    registry.names.cache_clear()
    assert registry.names("ser.things") == ("alpha", "beta")
    registry.names.cache_clear()


@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("ser.metadata.corpora", "corpus"),
        ("ser.train.losses", "loss"),
        ("ser.train.heads", "head"),
        ("ser.extract.encoders", "encoder"),
        ("ser.train.adapt", "adapt"),
        ("ser.train.fewshot.methods", "few-shot method"),
    ],
)
def test_kind(package: str, kind: str) -> None:
    assert registry.kind(package) == kind


def test_an_unknown_name_lists_what_there_is_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.load("ser.train.losses", "crossentropy")
    message = str(caught.value)
    assert message.startswith("unknown loss 'crossentropy'")
    for name in registry.names("ser.train.losses"):
        assert name in message
    assert "Did you mean 'cross_entropy'?" in message


def test_nothing_near_names_nothing() -> None:
    assert "Did you mean" not in str(registry.unknown("head", "xyzzy", ("mlp", "linear")))
    assert "there are none" in str(registry.unknown("head", "mlp", ()))
