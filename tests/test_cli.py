"""The command line: exit codes, configuration files, errors that name things, and nothing heavy at the start."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ser
from ser import registry
from ser.cli import COMMANDS, cli, main
from ser.commands._types import Folder
from ser.errors import ConfigError
from ser.extract.encoder import find as find_encoder
from ser.extract.options import EncoderOptions

HEAVY = ["torch", "pandas", "numpy", "h5py", "sklearn", "scipy", "matplotlib", "transformers", "librosa", "jsonschema"]


def test_help_and_a_list_import_nothing_heavy(tmp_path: Path) -> None:
    """One after another in one process, as what one of them imports stays."""
    listing = ["results", "list", "--quiet", "--workspace", str(tmp_path)]
    commands = [["--version"], ["--help"], ["results", "--help"], ["results", "list", "--help"], listing]
    code = f"import sys\nfrom ser.cli import main\nfor words in {commands}:\n    code = main(words)\n"
    code += f"    print(code, words, *set({HEAVY}) & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [f"0 {words}" for words in commands]


def test_an_option_of_one_value_is_given_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--workspace", str(tmp_path), "--dataset", "toy"]
    assert main([*words, "--head", "mlp", "--head", "linear"]) == 2
    assert "'--head': given 2 times; expected once" in capsys.readouterr().err
    assert main([*words, "--audio", "a", "--audio", "b"]) == 2
    assert "'--audio': given 2 times; expected once; give its values once, with commas" in capsys.readouterr().err
    assert main([*words, "--quiet", "--quiet", "--grid", "lr=1e-3,1e-4", "--grid", "epochs=1,2"]) == 1
    assert "there is no table" in capsys.readouterr().err


def test_a_name_that_ser_does_not_have_is_refused_with_those_that_are_like_it() -> None:
    with pytest.raises(
        AttributeError, match=r"no attribute 'load'. Did you mean load_table or load_tensors or load_result"
    ):
        ser.load  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        ser.nothing  # noqa: B018
    for call in (ser.load_result, ser.Predictor):
        with pytest.raises(ConfigError, match="found None"):
            call(None)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == list(registry.names(COMMANDS))


@pytest.mark.parametrize("name", registry.names(COMMANDS))
def test_every_command_has_help_and_a_summary(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "Usage: ser " + name in capsys.readouterr().out
    command = registry.load(COMMANDS, name).command
    assert command.name == name
    assert command.help


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert ser.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["reslts"], "'results'"),
        (["results", "lst"], "'list'"),
        (["hedas"], "'heads'"),
        (["results", "ploot"], "'plot'"),
    ],
)
def test_an_unknown_command_names_the_nearest(
    arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert f"unknown command {arguments[-1]!r}" in message
    assert f"Did you mean {near}?" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["results", "list", "--srot", "UA"],
        ["results", "list", "--sort", "UAR"],
        ["results", "show"],
        ["heads", "extra"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error:" in capsys.readouterr().err


def test_what_cannot_be_done_is_1_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "show", "x", "--workspace", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("ser: there are no results in")
    assert len(message.splitlines()) == 1


def test_verbose_has_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ser.SerError):
        main(["results", "show", "x", "--verbose", "--workspace", str(tmp_path)])


def test_some_items_failed_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text("{")
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 3
    assert "a.json" in capsys.readouterr().err


def test_an_interrupt_is_130_and_says_that_what_is_done_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(folder: Path, quiet: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ser.results.listing.list_results", interrupted)
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 130
    assert "What was done is kept" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "words"), [(28, "the disk is full"), (13, "--workspace"), (5, "Input/output")])
def test_errors_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, number: int, words: str
) -> None:
    def fail(folder: Path, quiet: bool) -> None:
        raise OSError(number, "Input/output error", "results/x")

    monkeypatch.setattr("ser.results.listing.list_results", fail)
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert words in message
    assert "results/x" in message


@pytest.fixture
def sort_seen(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Values of `--sort` that `ser results list` was called with."""
    from ser.commands import results

    seen: list[str | None] = []
    command = results.command.commands["list"]

    def callback(**options: object) -> None:
        sort = options["sort"]
        seen.append(None if sort is None else str(sort))

    monkeypatch.setattr(command, "callback", callback)
    return seen


def test_the_configuration_gives_defaults_and_the_command_line_beats_them(
    tmp_path: Path, sort_seen: list[str | None]
) -> None:
    (tmp_path / "ser.yaml").write_text("results: {list: {sort: WA}}\nfit: {runs: 3}\n")
    other = tmp_path / "other.yaml"
    other.write_text("results:\n  list:\n    sort: WF1\n")
    base = ["results", "list", "--workspace", str(tmp_path)]
    assert main(base) == 0
    assert main([*base, "--sort", "UA"]) == 0
    assert main([*base, "--config", str(other)]) == 0
    assert main([*base, f"--config={other}", "--sort=UA"]) == 0
    assert sort_seen == ["WA", "UA", "WF1", "UA"]


def test_without_a_configuration_nothing_is_set(tmp_path: Path, sort_seen: list[str | None]) -> None:
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 0
    (tmp_path / "ser.yaml").write_text("# nothing yet\n")
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 0
    assert sort_seen == ["started", "started"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("reslts: {list: {sort: UA}}", ["unknown section of ser.yaml: 'reslts'", "Did you mean 'results'?"]),
        ("results: {lst: {sort: UA}}", ["'lst'", "Did you mean 'list'?"]),
        ("results: {list: {srot: UA}}", ["'srot'", "Did you mean 'sort'?"]),
        ("results: {list: 5}", ["is not a configuration"]),
        ("- results", ["is not a configuration"]),
        ("results: [", ["cannot read the configuration"]),
    ],
)
def test_a_wrong_configuration_names_its_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: list[str]
) -> None:
    (tmp_path / "ser.yaml").write_text(content)
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "ser.yaml" in message
    for word in words:
        assert word in message


def test_a_wrong_value_in_the_configuration_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ser.yaml").write_text("results: {list: {sort: UAR}}")
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 2
    assert "UAR" in capsys.readouterr().err


def test_a_configuration_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "list", "--config", str(tmp_path / "no.yaml")]) == 1
    assert "no.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "package"), [("heads", "ser.train.heads"), ("losses", "ser.train.losses")])
def test_plugins_are_listed_with_what_they_are(command: str, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    if command == "heads":
        assert lines.pop().startswith("sklearn:CLASS ")
    assert [line.split()[0] for line in lines] == list(registry.names(package))
    for line in lines:
        assert registry.summary(registry.load(package, line.split()[0])) in line


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["fewshot"], "expected one, or --target NAME"),
        (["fit"], "expected one, or --dataset NAME"),
        (
            ["extract", "--dataset", "emodb", "--root", "nowhere"],
            "A table file: ser metadata --dataset NAME --from FILE",
        ),
        (
            ["audit", "--dataset", "csv", "--root", "."],
            "Give it with: ser metadata --dataset NAME --from FILE --format csv",
        ),
    ],
)
def test_advice_names_options_that_the_command_has(
    tmp_path: Path, arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--workspace", str(tmp_path)]) == 1
    assert advice in capsys.readouterr().err


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "ser", "--version"], capture_output=True, text=True, check=True)
    assert ser.__version__ in done.stdout


def _folder_options(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, inner in (command.commands if isinstance(command, click.Group) else {}).items():
        yield from _folder_options(inner, *words, name)
    if not isinstance(command, click.Group):
        yield from ((words, p.opts[0]) for p in command.params if isinstance(p.type, Folder))


def test_every_option_that_takes_a_folder_names_what_is_there_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("x")
    commands = {name: registry.load(COMMANDS, name).command for name in registry.names(COMMANDS)}
    options = [found for name, command in commands.items() for found in _folder_options(command, name)]
    assert {"--weights", "--root", "--workspace", "--noise-folder", "--output"} <= {option for _, option in options}
    found = {"pipe": "a named pipe", "loop": "Too many levels of symbolic links", "file": "a file"}
    for words, option in options:
        for name, kind in {**found, "/dev/zero": "a device"}.items():
            if (option, name) != ("--root", "file"):  # some corpora are one file
                assert main([*words, option, str(tmp_path / name)]) == 2
                told = capsys.readouterr().err
                assert f"Invalid value for '{option}'" in told
                assert f"found {kind}" in told


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "./nowhere", "~/nowhere-at-all"])
def test_a_path_of_a_model_that_is_no_folder_is_no_hub_id(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        find_encoder(name)
    with pytest.raises(ConfigError, match="is not a folder"):
        EncoderOptions(weights=Path(name))


@pytest.mark.parametrize(
    "words", [["extract", "--dataset", "d", "--batch-seconds"], ["fit", "--lr"], ["fit", "--clip"]]
)
def test_a_number_is_not_nan(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "nan"]) == 2
    assert "'nan' is not a number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"),
    [("ser fi", {"finetune", "fit"}), ("ser fit --hea", {"--head", "--head-option"}), ("ser fit --head ml", {"mlp"})],
)
def test_a_shell_completes_commands_options_and_names(words: str, found: set[str]) -> None:
    place = {"_SER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = CliRunner(env=place).invoke(cli, [], prog_name="ser")
    assert {line.partition(",")[2] for line in done.output.split()} == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    done = CliRunner(env={"_SER_COMPLETE": f"{shell}_source"}).invoke(cli, [], prog_name="ser")
    assert f"_SER_COMPLETE={shell}_complete" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "", "--model", "m"],
        ["predict", "a.wav", "--model", ""],
        ["fit", "--dataset", ""],
        ["fit", "--dataset", "d", "--audio", "a", "--head-option", ""],
        ["results", "show", ""],
        ["results", "report", "a", ""],
        ["serve", "--model", "m", "--token", ""],
    ],
)
def test_an_empty_value_is_never_the_current_folder_or_the_default(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "the value is empty; expected one. Is a variable not set?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["results", "plot", "m", "--kind", ","], "',' lists nothing; expected one value or several"),
        (["predict", "a.wav", "--model", "m", "--window", "inf"], "'inf' is not a finite number"),
        (["extract", "--dataset", "d", "--jobs", "9" * 20], "is too large; expected 2147483647 at most"),
    ],
)
def test_lists_of_nothing_and_infinite_numbers_are_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_file_where_a_folder_would_be_is_said_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    for given in ("file", "file/x"):
        assert main(["new", "head", "my_head", "--output", str(tmp_path / given)]) in (1, 2)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert "is not a folder" in said or "Name another path, or move what is in the way" in said


def test_a_loop_of_links_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert main(["pull", "me/x", "--output", str(tmp_path / "loop")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ser: ")
    assert said.count("\n") == 1
    assert "loop" in said
