"""The command line: exit codes, configuration files, errors that name things, and nothing heavy at the start."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ser
from ser import errors, registry
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
    assert main([*words, "--quiet", "--quiet", "--grid", "lr=1e-3,1e-4", "--grid", "epochs=1,2"]) == 2
    assert "there is no table" in capsys.readouterr().err


def test_a_name_that_ser_does_not_have_is_refused_with_those_that_are_like_it() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'load'. Did you mean load_table or load_tensors or load_result"):
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
    [(["reslts"], "'results'"), (["results", "lst"], "'list'"), (["hedas"], "'heads'"), (["results", "ploot"], "'plot'")],
)
def test_an_unknown_command_names_the_nearest(arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert f"unknown command {arguments[-1]!r}" in message
    assert f"Did you mean {near}?" in message


@pytest.mark.parametrize(
    "arguments",
    [["results", "list", "--srot", "UA"], ["results", "list", "--sort", "UAR"], ["results", "show"], ["heads", "extra"]],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error:" in capsys.readouterr().err


def test_what_is_not_there_is_2_and_what_cannot_be_used_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "x.json").write_text("{")
    (tmp_path / "x.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "x.csv").write_text("emotion\njoy\n")
    os.mkfifo(tmp_path / "pipe.csv")
    for code, words in (
        (1, ["results", "show", "x"]),
        (2, ["results", "show", "y"]),
        (1, ["predict", "a.wav", "--model", str(tmp_path / "x.safetensors")]),
        (2, ["predict", "a.wav", "--model", str(tmp_path / "y.safetensors")]),
        (2, ["predict", "a.wav", "--model", "y", "--hop", "1"]),
        (1, ["metadata", "--dataset", "d", "--from", str(tmp_path / "x.csv")]),
        (1, ["metadata", "--dataset", "d", "--from", str(tmp_path / "pipe.csv"), "--format", "csv"]),
        (2, ["metadata", "--dataset", "d", "--from", str(tmp_path / "y.csv")]),
        (2, ["metadata", "--dataset", "d", "--root", str(tmp_path / "y")]),
        (2, ["audit", "--dataset", "y"]),
        (2, ["fit", "--dataset", "y"]),
        (2, ["fit", "--dataset", "y", "--save", "--grid", "lr=1,2"]),
    ):
        assert main([*words, "--workspace", str(tmp_path)]) == code, words
        message = capsys.readouterr().err
        assert message.startswith("ser: ")
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


def test_the_configuration_gives_defaults_and_the_command_line_beats_them(tmp_path: Path, sort_seen: list[str | None]) -> None:
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
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "ser.yaml" in message
    for word in words:
        assert word in message


def test_a_wrong_value_in_the_configuration_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ser.yaml").write_text("results: {list: {sort: UAR}}")
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 2
    assert "UAR" in capsys.readouterr().err


def test_a_configuration_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "list", "--config", str(tmp_path / "no.yaml")]) == 2
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
        (["extract", "--dataset", "emodb", "--root", "nowhere"], "A table file: ser metadata --dataset NAME --from FILE"),
        (["audit", "--dataset", "csv", "--root", "."], "Give it with: ser metadata --dataset NAME --from FILE --format csv"),
    ],
)
def test_advice_names_options_that_the_command_has(
    tmp_path: Path, arguments: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--workspace", str(tmp_path)]) in (1, 2)
    assert advice in capsys.readouterr().err


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "ser", "--version"], capture_output=True, text=True, check=True)
    assert ser.__version__ in done.stdout


def _options(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    """The options and arguments of a command, or of all commands of a group, with the words that call it."""
    for name, inner in (command.commands if isinstance(command, click.Group) else {}).items():
        yield from _options(inner, *words, name)
    if not isinstance(command, click.Group):
        yield from ((words, parameter) for parameter in command.params)


def options_of_all() -> list[tuple[tuple[str, ...], click.Parameter]]:
    return [found for name in registry.names(COMMANDS) for found in _options(registry.load(COMMANDS, name).command, name)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "--dataset", "d", "--device", "tpu"], "ser: --device 'tpu'; expected auto, cpu, cuda"),
        (["fewshot", "--target", "d", "--percentages", "0"], "ser: --percentages [0.0]; expected numbers above 0"),
        (["fewshot", "--target", "d", "--shots", "0"], "ser: --shots [0]; expected whole numbers, 1 or more"),
    ],
)
def test_an_option_is_named_as_it_is_typed(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--workspace", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_no_help_has_words_of_a_programming_language(capsys: pytest.CaptureFixture[str]) -> None:
    for words in {words for words, _ in options_of_all()}:
        assert main([*words, "--help"]) == 0
        assert not re.search(r"%[YmdHMS]|FLOAT|INTEGER|\bstr\b|RANGE|None", capsys.readouterr().out), words


def test_the_help_says_that_an_option_takes_a_value() -> None:
    with click.Context(cli) as context:
        found = [p for _, p in options_of_all() if isinstance(p, click.Option) and not p.is_flag]
        assert [p.opts for p in found if not p.make_metavar(context)] == []


@pytest.mark.parametrize("words", sorted({words for words, _ in options_of_all()}), ids=" ".join)
def test_wrong_usage_of_any_command_is_2(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = ["--workspace", str(tmp_path / "w")]
    (tmp_path / "w").mkdir()
    assert main([*words, "--no-such-option", *space]) == 2
    assert main([*words, *space, "--config", str(tmp_path / "none.yaml")]) == 2
    for content in ("no-such-command: {}", "[", "{a: 1, a: 2}"):
        (tmp_path / "w" / "ser.yaml").write_text(content)
        assert main([*words, *space]) == 2, content
        assert "ser.yaml" in capsys.readouterr().err


def test_the_exit_code_follows_from_what_is_wrong() -> None:
    """An error that names an option is wrong usage, 2; one of a file that cannot be read, or is damaged, is not."""
    found = []
    for path in Path(ser.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            kind = getattr(errors, getattr(getattr(node, "func", None), "id", ""), None)
            if not (isinstance(node, ast.Call) and isinstance(kind, type) and node.args):
                continue
            said = node.args[0]
            parts = said.values if isinstance(said, ast.JoinedStr) else [said]
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
            wrong = text.startswith("--")
            if wrong or re.search(r"^cannot read|is damaged|is not JSON|is cut short|another version", text):
                found.append(text)
                assert kind.exit_code == (2 if wrong else 1), f"{path}, line {node.lineno}: {text}"
    assert len([text for text in found if text.startswith("--")]) > 100
    assert len([text for text in found if not text.startswith("--")]) > 20


def test_no_command_starts_a_million_workers(capsys: pytest.CaptureFixture[str]) -> None:
    found = [words for words, parameter in options_of_all() if "--jobs" in parameter.opts]
    assert {words[0] for words in found} >= {"audit", "extract", "fit", "evaluate", "results", "demo", "benchmark"}
    for words in found:
        assert main([*words, "--jobs", "1000000"]) == 2
        assert "'--jobs': 1000000 is too many for" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"--jobs 1000000 is too many for \d+ cores; expected \d+ at most"):
        ser.fit("d", jobs=1_000_000)


def test_every_option_that_takes_a_folder_names_what_is_there_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("x")
    options = [(words, p.opts[0], p.type) for words, p in options_of_all() if isinstance(p.type, Folder)]
    assert {"--weights", "--root", "--workspace", "--noise-folder", "--output"} <= {option for _, option, _ in options}
    found = {"pipe": "a named pipe", "loop": "Too many levels of symbolic links", "file": "a file"}
    for words, option, kind in options:
        for name, there in {**found, "/dev/zero": "a device"}.items():
            if not (kind.or_file and name == "file"):
                assert main([*words, option, str(tmp_path / name)]) == 2
                told = capsys.readouterr().err
                assert f"Invalid value for '{option}'" in told
                assert f"found {there}" in told


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


@pytest.mark.parametrize("words", [["extract", "--dataset", "d", "--batch-seconds"], ["fit", "--lr"], ["fit", "--clip"]])
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
        (["fewshot", "--percentages", "10,x"], "'x' is not a number; expected one, or several with commas between them"),
        (["fewshot", "--shots", "1.5"], "'1.5' is not a whole number; expected one, or several"),
        (["fewshot", "--tune-epochs", "x"], "'x' is not a valid whole number"),
        (["predict", "a.wav", "--model", "m", "--speakers", "x"], "'x' is not a valid whole number"),
        (["evaluate", "--model", "m", "--conformal", "x"], "'x' is not a valid number"),
        (["results", "list", "--since", "1.3.2026"], "'1.3.2026' is not a date; expected a day as 2026-11-30"),
    ],
)
def test_lists_of_nothing_and_infinite_numbers_are_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_file_where_a_folder_would_be_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    for given in ("file", "file/x"):
        assert main(["new", "head", "my_head", "--output", str(tmp_path / given)]) in (1, 2)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert "is not a folder" in said or "Name another path, or move what is in the way" in said


def test_a_loop_of_links_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert main(["pull", "me/x", "--output", str(tmp_path / "loop")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ser: ")
    assert said.count("\n") == 1
    assert "loop is not a folder or a file; found Too many levels of symbolic links" in said
