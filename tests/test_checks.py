"""`ser check`: promises that hold, and those that are broken, each in one line; the generic tests of plugins use the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ser import checks, outside, starter
from ser.cli import main

HEAD = '''
import torch
from torch import nn
from ser.train.heads._base import Takes

class Head(nn.Module):
    """Reads padding as if it were speech, and has a layer that it does not use."""
    stackable = False
    TAKES = Takes(("frames",), most=1)

    def __init__(self, inputs, classes):
        super().__init__()
        self.name = inputs[0].name
        self.layer, self.idle = nn.Linear(inputs[0].dim, classes), nn.Linear(3, 3)

    def forward(self, batch):
        return self.layer(batch[self.name].values.mean(2))
'''
LOSS = '''
from ser.train.losses._base import Term

class Loss(Term):
    """The mean over all runs."""
    def forward(self, batch):
        return batch.logits.pow(2).mean().expand(len(batch.logits))
'''
METHOD = '''
import torch
from ser.train.adapt._base import Adaptation

class Method(Adaptation):
    """Nothing, along a direction that is drawn for one run and read by all."""
    def __init__(self, classes, size, weight=1.0, ramp=""):
        super().__init__(classes, size, weight, ramp)
        self.direction = torch.randn(size, dtype=torch.double)

    def forward(self, source, target, progress):
        return (source.embedding.detach() * self.direction).mean((1, 2))
'''
ENCODER = '''
import numpy as np
from ser.extract.encoder import Encoder

class Loud(Encoder):
    """The level beside the loudest of the batch."""
    MODALITY, SOURCE, LICENCE, LEVELS, CHECKPOINTS, DIM = "audio", "a test", "none", ("utterance",), {}, "1"
    name, modality, level, dim, sample_rate = "loud", "audio", "utterance", 1, 16000

    def __init__(self, name, options):
        self.identity, self.assets = {"plugin": "loud"}, {}

    def encode(self, inputs):
        most = max(np.abs(x).max() for x in inputs)
        return [np.array([np.abs(x).mean() / most], dtype=np.float32) for x in inputs]
'''
FEWSHOT = '''
import numpy as np
from ser.train.fewshot.methods._base import Answer

FROM_SOURCE, NEEDS_SOURCE, READS_EMBEDDING = True, False, "no"

def learn(task, shots, seeds):
    """The true labels of the test rows; the first run looks at the number of runs."""
    found = np.stack([np.eye(task.classes)[task.data.labels[task.test]] * 0.5] * len(seeds))
    found[0, :, 0] += 0.1 * len(seeds)
    return Answer(found, [{}], [0.0])
'''
FORMAT = '''"""Paragraphs alone, and a file beside them."""
ENDING = "txt"

def write(report, path):
    path.with_name("other.txt").write_text("left here")
    lines = [block.text for section in report.sections for block in section.blocks]
    path.write_text("\\n".join(lines))
'''
CORPUS = '''"""Words, for a test."""
TITLE, CITATION, LICENCE, URL, LANGUAGE, TREE = "Words", "none", "none", "", "eng", "angry-anna.wav"
LABELS, UTTERANCES, SENTENCES = {"angry": "wrath"}, None, None

def parse(root):
    yield from ()
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(outside.VARIABLE, "")
    texts = {"head": HEAD, "loss": LOSS, "adaptation": METHOD, "encoder": ENCODER, "corpus": CORPUS, "fewshot": FEWSHOT}
    texts["format"] = FORMAT
    for name, text in texts.items():
        Path(f"bad_{name}.py").write_text(text, encoding="utf-8")
    yield tmp_path
    for name in list(outside._trusted()):
        outside.distrust(name)


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("head", {"every parameter gets a gradient": "parameter idle.weight gets no", "padding": "Tensor-likes are not"}),
        ("loss", {"does not depend on the other runs": "are not close"}),
        (
            "adaptation",
            {
                "reaches the embedding": "neither embedding gets a gradient",
                "draws nothing but parameters": "all runs would share",
            },
        ),
        ("encoder", {"the same beside others": "features are others beside others than alone"}),
        ("corpus", {"its facts are there": "found 'eng'", "a tree of its layout": "there is none"}),
        (
            "format",
            {
                "its facts are there": "ENDING; expected one such as .md; found 'txt'",
                "with a paragraph": "a folder beside it at most; found other.txt",
                "with a notice": "AttributeError",
                "with facts": "AttributeError",
                "with a table": "AttributeError",
                "with a command": "found other.txt",
                "with an image": "AttributeError",
                "with a picture": "AttributeError",
                "that formats give a meaning": "AttributeError",
                "with nothing in it": "found other.txt",
            },
        ),
        (
            "fewshot",
            {
                "its facts are there": "READS_EMBEDDING; expected True or False; found 'no'",
                **{
                    f"{source} a source: {promise}": fault
                    for source in ("with", "without")
                    for promise, fault in {
                        "each run has a probability of each class": "expected probabilities whose sum is 1; found",
                        "so too where a class has no shots": "expected probabilities whose sum is 1; found",
                        "labels of other rows of the target": "it reads labels that it must not",
                        "a run is itself": "run 0 alone has other probabilities than among 3",
                    }.items()
                },
            },
        ),
    ],
)
def test_broken_promises_are_named(kind: str, broken: dict[str, str]) -> None:
    part = f"bad_{kind}.py" + {"encoder": ":Loud", "head": ":Head"}.get(kind, "")
    found = {promise: fault for promise, fault in checks.check(kind, part) if fault}
    assert len(found) == len(broken), found
    for promise, words in broken.items():
        (fault,) = (fault for key, fault in found.items() if promise in key)
        assert words in fault


def test_a_part_that_cannot_be_made_is_said_in_a_line(here: Path) -> None:
    text = HEAD.replace("super().__init__()", "raise ValueError('no')").replace("TAKES = Takes", "ANY = Takes")
    (here / "raises.py").write_text(text, encoding="utf-8")
    assert list(checks.check("head", "raises.py:Head")) == [("it can be made", "ValueError: no")]


def test_the_command_says_each_promise_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "head", "linear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(line.startswith("ok      ") for line in lines)
    assert main(["check", "loss", "./bad_loss.py"]) == 1
    out, err = capsys.readouterr()
    assert "broken  a run's loss does not depend on the other runs: " in out
    assert "loss ./bad_loss.py: promises that are broken: 1" in err
    assert main(["check", "head", "liner"]) == 2
    assert "Did you mean 'linear'" in capsys.readouterr().err


def test_what_ser_new_writes_keeps_its_promises(here: Path) -> None:
    for kind in checks.KINDS:
        assert main(["new", kind, f"kept_{kind}", "--quiet"]) == 0
        assert Path(f"kept_{kind}.py").is_file()
        assert [fault for _, fault in checks.check(kind, f"./kept_{kind}.py") if fault] == []


def test_what_can_be_tried_can_be_started() -> None:
    assert set(checks.KINDS) <= set(starter.packages())
