"""Options from Python: those of the command line, in their natural types; unknown ones are refused with the nearest."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import ser
from ser import registry
from ser.errors import ConfigError
from ser.metadata.folds.fold import FoldOptions
from ser.registry import words
from ser.train.option import check_numbers
from ser.train.runs.options import FitOptions, read_options
from ser.workspace import Workspace

FUNCTIONS = [name for name in ser.__all__ if hasattr(getattr(ser, name), "without")]  # with options of experiments
COMMANDS = [name for name in FUNCTIONS if name in registry.names("ser.commands")]  # the others are options of a command
SMALL: dict[str, Any] = {"epochs": 1, "runs": 1, "jobs": 1, "head_options": {"hidden": [8, 8]}}


def read(**given: Any) -> FitOptions:
    return read_options(ser.fit, "work", "mlp", given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"stores": "egemaps"}, {"named_stores": ("egemaps",)}),
        ({"audio": ["a", "b"], "text": "c,d"}, {"named_stores": ("a", "b", "c", "d")}),
        ({"stores": None, "modalities": "audio"}, {"named_stores": None, "modalities": ("audio",)}),
        ({"stores": np.array(["a", "b"]), "views": ()}, {"named_stores": ("a", "b"), "views": None}),
        ({"folds": 5}, {"fold_options": FoldOptions(5)}),
        ({"folds": np.int64(5), "stratified": np.True_}, {"fold_options": FoldOptions(5, stratified=True)}),
        (
            {"fold_file": "folds.csv", "validation": "speaker", "split_seed": 3},
            {"fold_options": FoldOptions(None, 3, Path("folds.csv"), "speaker")},
        ),
        ({"folds": FoldOptions(4, seed=1)}, {"fold_options": FoldOptions(4, seed=1)}),
        ({"scheme": 4}, {"scheme": "4"}),
        ({"scheme": Path("own.yaml"), "output": "a.json"}, {"scheme": "own.yaml", "output": Path("a.json")}),
        ({"limit": 2, "runs": np.int32(3), "seed": None}, {"limit": 2.0, "runs": 3, "seed": 0}),
        ({"device": torch.device("cpu")}, {"device": "cpu"}),
        ({"command": "ser fit --runs 5"}, {"command": "ser fit --runs 5"}),
        ({"lr": 1e-2}, {"training": {"lr": 1e-2}, "command": "ser.fit", "workspace": Workspace(Path("work"))}),
    ],
)
def test_natural_types(given: dict[str, Any], expected: dict[str, Any]) -> None:
    options = read(**given)
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run": 5}, "ser.fit has no option 'run'. Did you mean 'runs'?"),
        ({"epoch": 5}, "ser.fit has no option 'epoch'. Did you mean 'epochs'?"),
        ({"feature_limit": 2}, "ser.fit has no option 'feature_limit'. Did you mean 'limit'?"),
        ({"adapt": "dann"}, "ser.fit has no option 'adapt'"),
        ({"zzzz": 5}, "ser.fit has no option 'zzzz'; expected one of dataset, workspace, head, final, scheme"),
        ({"folds": "5"}, "folds = '5'; expected a whole number"),
        ({"folds": 2}, "folds = 2; expected 3 or more"),
        ({"folds": FoldOptions(5), "stratified": True}, "folds is a FoldOptions, and stratified is given too"),
        ({"runs": 0}, "runs = 0; expected 1 or more"),
        ({"runs": 2.5}, "runs = 2.5; expected a whole number"),
        ({"runs": True}, "runs = True; expected a whole number"),
        ({"limit": float("nan")}, "limit = nan; expected 0 or more"),
        ({"limit": "3"}, "limit = '3'; expected a number"),
        ({"save": 1}, "save = 1; expected True or False"),
        ({"stores": 5}, "stores = 5; expected a name, or a list of names"),
        ({"stores": [Path("a")]}, "expected a name, or a list of names"),
        ({"modalities": "smell"}, "unknown modalities 'smell'; expected one of audio, text, visual"),
        ({"protocol": "speakers"}, "Did you mean 'speaker'?"),
        ({"refit": True}, "refit = True; expected a word"),
        ({"output": 3}, "output = 3; expected a path"),
        ({"audio": "a", "modalities": "text"}, "--audio a contradicts --modalities text"),
        ({"log": "tensorbord"}, "unknown logger 'tensorbord'"),
        ({"patience": 5, "selection": "last"}, "--patience 5 waits for a better validation score"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**given)
    assert said in caught.value.line()


def test_numbers_and_names_alone_or_several() -> None:
    assert check_numbers("shots", 5) == (5,)
    assert check_numbers("weights", np.array([0.5, 1.0])) == (0.5, 1.0)
    assert words("methods", "dann, mmd") == ("dann", "mmd")
    with pytest.raises(ConfigError, match="shots = 'five'; expected a number"):
        check_numbers("shots", "five")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_options_are_in_the_signature_and_the_help(name: str) -> None:
    function = getattr(ser, name)
    shown = inspect.signature(function).parameters
    assert {"head", "folds", "stores", "runs", "output", "epochs", "lr", "head_options"} <= set(shown)
    assert not any(p.kind is p.VAR_KEYWORD for p in shown.values())
    for option in shown:
        assert f"{option}" in str(function.__doc__), option
    for lacking in function.without:
        if lacking != "target":  # between two corpora it is one of them, a parameter of the function's own
            assert lacking not in shown
        with pytest.raises(ConfigError, match=rf"ser\.{name} has no option '{lacking}'"):
            read_options(function, ".", "mlp", {lacking: None})


# Options of the terminal, of ser.matrix and ser.search; for --part Python has ser.trust.
ELSEWHERE = {"workspace", "config", "quiet", "verbose", "matrix", "grid", "random", "halving", "part"}


@pytest.mark.parametrize("name", COMMANDS)
def test_python_takes_every_option_of_the_command_line(name: str) -> None:
    command: click.Command = registry.load("ser.commands", name).command
    asked = {str(p.name) for p in command.params} - ELSEWHERE - ({"datasets"} if name == "transfer" else set())
    assert asked <= set(inspect.signature(getattr(ser, name)).parameters)


CALLS: dict[str, Callable[[str], Any]] = {  # of functions that take other values than a dataset and features
    "fit": lambda space: ser.fit("a", space, stores="toy", folds=3, protocol="speaker", scheme=4, **SMALL),
    "search": lambda space: ser.search("a", space, audio="toy", grid={"lr": [1e-3, 1e-2]}, protocol="official", **SMALL),
    "ablate": lambda space: ser.ablate(
        "a", space, protocol="official", **{**SMALL, "head_options": None, "modality_dropout": 0.1}
    ),
    "adapt": lambda space: ser.adapt("a", "b", space, audio="toy", methods="coral", weights=0.5, folds=3, **SMALL),
    "combine": lambda space: ser.combine("a,b", space, audio="toy", folds=3, protocol="speaker", **SMALL),
    "fewshot": lambda space: ser.fewshot("b", "a", space, audio="toy", shots=1, percentages=50, folds=3, **SMALL),
    "layers": lambda space: ser.layers("a", space, audio="deep", protocol="official", **{**SMALL, "head_options": None}),
    "finetune": lambda space: ser.finetune("a", "b", space, audio="toy", protocol="official", **SMALL),
    "matrix": lambda space: ser.matrix(["a", "b"], space, audio="toy", protocol="official", **SMALL),
    "transfer": lambda space: ser.transfer("a", "b", space, audio="toy", protocol="official", **SMALL),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_takes_a_folder_and_plain_values(name: str, maker: Any) -> None:
    for dataset in ("a", "b"):
        maker.table(dataset, speakers=3 if name in ("adapt", "fewshot") else 6)
        maker.store(dataset)
    maker.store("a", "words", modality="text")
    if name == "layers":
        maker.store("a", "deep", layers=(0.2, 0.9))
    call = CALLS.get(name, lambda space: getattr(ser, name)("a", space, audio="toy", protocol="official", **SMALL))
    found = call(str(maker.space.root))
    path = maker.space.results / f"{found['experiment']}.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(found))


def test_trackers_are_written_from_python_too(maker: Any) -> None:
    pytest.importorskip("tensorboard")
    maker.table("a")
    maker.store("a")
    ser.fit("a", maker.space.root, protocol="official", log="tensorboard", **SMALL)
    assert list(maker.space.results.rglob("events.out.tfevents.*"))
