"""Saved heads: they come back as they were; what is damaged or forged ends in one error, quickly and in little memory.

`SER_FUZZ_EXAMPLES=30000 pytest tests/train/test_checkpoint.py -k any_file` mutates more files (a half hour of one core).
"""

import json
import math
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from ser.errors import ConfigError, SerError
from ser.features.blocks import Block
from ser.metadata.table import load_table, make_table, write_table
from ser.results.stored.runs import read_predictions
from ser.train.checkpoint import SavedHead, head_facts, load_head
from ser.train.experiments.fit import fit

SECONDS, MEGABYTES = 5.0, 300  # of processor time, for any one file of some kilobytes
HEADS: dict[str, dict[str, Any]] = {
    "mlp": {"head_options": {"hidden": "8,4"}},
    "snapshots": {"head": "linear", "snapshots": 2, "epochs": 2},
    "late": {"head_options": {"hidden": "4"}},
    "timnet": {"head_options": {"hidden": 4, "blocks": 2}},
    "resnet18": {"head_options": {"hidden": 2}},
    "text_transformer": {"head_options": {"hidden": 8, "layers": 1, "heads": 2}},
    "dialogues": {"head": "bilstm", "context": "dialogue", "head_options": {"hidden": 3}, "average": "ema"},
    "sklearn:GaussianNB": {},
}
Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], None]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> dict[str, Path]:
    """A saved head of each kind."""
    maker = maker_type(tmp_path_factory.mktemp("workspace"))
    maker.table("a")
    rows = load_table("a", maker.space).frame.to_dict("records")
    rows = [r | {"dialogue": f"{r['speaker']}-{k % 4}", "turn": k // 4 % 4} for k, r in enumerate(rows)]
    write_table(make_table(rows, "a", {"corpus": "csv"}), maker.space)
    maker.store("a", "toy", identity={"encoder": "toy"}, strength=0.6)
    maker.store("a", "words", modality="text", dim=6, identity={"encoder": "words"}, strength=0.6)
    maker.store("a", "mel", framewise=True, dim=7, identity={"encoder": "mel"}, strength=0.6)
    maker.store("a", "text", framewise=True, modality="text", vocabulary=17, identity={"encoder": "text"}, strength=0.6)
    stores = {"late": ["toy", "words"], "timnet": ["mel"], "resnet18": ["mel"], "text_transformer": ["text"]}
    found = {}
    for name, options in HEADS.items():
        path = maker.space.results / f"{name.rpartition(':')[2]}.json"
        fit(
            "a",
            maker.space,
            **{
                "head": name,
                "stores": stores.get(name, ["toy"]),
                "protocol": "official",
                "runs": 1,
                "save": True,
                "jobs": 1,
                "output": path,
                **({} if ":" in name else {"epochs": 1}),
                **options,
            },
        )
        (found[name],) = path.with_suffix("").glob("*.safetensors")
    return found


def changed(source: Path, target: Path, change: Change) -> Path:
    """A copy of a head with another header or other tensors."""
    with safe_open(source, framework="pt") as file:
        about = json.loads(file.metadata()["ser"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header: dict[str, Any] = {"ser": about}
    change(header, tensors)
    text = header["ser"] if isinstance(header["ser"], str) else json.dumps(header["ser"])
    save_file(tensors, target, metadata={"ser": text})
    return target


def blocks_for(head: SavedHead) -> list[Block]:
    """Features of three utterances, of the shapes that a head reads."""
    random = np.random.default_rng(0)
    offsets = np.array([0, 2, 6, 9])
    found = []
    for i in head.inputs:
        if i.framewise:
            values = random.normal(size=(9, i.dim)).astype(np.float32)
            if i.vocabulary:
                values = random.integers(0, i.vocabulary, (9, 1)).astype(np.int32)
            found.append(Block(i.name, i.modality, values, offsets, vocabulary=i.vocabulary))
        else:
            shape = (3, i.layers, i.dim) if i.layers > 1 else (3, i.dim)
            found.append(Block(i.name, i.modality, random.normal(size=shape).astype(np.float32)))
    return found


def predicted(head: SavedHead) -> NDArray[np.float64]:
    """The probabilities of three utterances, turns of one dialogue."""
    turns = (np.zeros(3, np.int64), np.arange(3)) if head.config.context == "dialogue" else None
    return head.probabilities(blocks_for(head), turns=turns)


@pytest.fixture
def bounded() -> Iterator[None]:
    """Within a stated time and memory."""
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


@pytest.mark.parametrize("name", list(HEADS))
def test_a_head_comes_back_with_the_probabilities_of_its_record(name: str, heads: dict[str, Path]) -> None:
    head = load_head(heads[name])
    probabilities = predicted(head)
    assert probabilities.shape == (3, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert head_facts(heads[name]) == head.about
    if name in ("mlp", "sklearn:GaussianNB", "snapshots"):
        path = heads[name].parent.with_suffix(".json")
        rows = read_predictions(path)
        rows = rows[rows["split"] == "test"]
        from ser.features.blocks import stored_block

        store = path.parents[1] / "features" / "a" / "toy.h5"
        found = head.probabilities([stored_block(store, "toy", list(rows["utterance_id"]))])
        np.testing.assert_allclose(found, rows[[f"p_{c}" for c in head.classes]], atol=1e-6)


def test_a_saved_head_may_be_read_by_whom_its_record_may_be(heads: dict[str, Path]) -> None:
    record = heads["mlp"].with_suffix(".json")
    assert record.is_file()
    assert stat.S_IMODE(heads["mlp"].stat().st_mode) == stat.S_IMODE(record.stat().st_mode)


TEXTS = ["{bad", "null", "[]", "3", '""', "", "[" * 100_000, '{"a":' * 50_000, "\ud800", '{"schema": "ser.head/2"}', "{}"]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("text", TEXTS, ids=lambda t: repr(t[:20]))
def test_a_header_that_is_not_one_is_one_error(text: str, heads: dict[str, Path], tmp_path: Path) -> None:
    def change(header: dict[str, Any], _: Any) -> None:
        header["ser"] = text.replace("\ud800", '"\\ud800"')

    path = changed(heads["mlp"], tmp_path / "forged.safetensors", change)
    for read in (load_head, head_facts):
        refused(path, read)


def refused(path: Path, read: Callable[[Path], Any] = load_head) -> str:
    """The one line that says why a head is refused."""
    with pytest.raises(ConfigError, match=path.name) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line
    assert "--jobs" not in line
    assert len(line) < 1500
    return line


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", ["mlp", "sklearn:GaussianNB"])
def test_every_field_of_the_header_is_wanted_and_has_its_type(name: str, heads: dict[str, Path], tmp_path: Path) -> None:
    with safe_open(heads[name], framework="pt") as file:
        fields = list(json.loads(file.metadata()["ser"]))
    assert {"schema", "classes", "config", "inputs", "stores", "normalize", "limit", "run", "fold"} < set(fields)
    for k, field in enumerate(f for f in fields if f not in ("durations", "audio", "novelty")):
        fits = {"limit": 3.5, "stamps": []}.get(field, "nothing")
        for wrong in (w for w in (None, [], 3.5, {"a": []}) if w != fits):

            def change(header: dict[str, Any], _: Any, field: str = field, wrong: Any = wrong) -> None:
                header["ser"][field] = wrong

            refused(changed(heads[name], tmp_path / f"{k}.safetensors", change))
        refused(changed(heads[name], tmp_path / f"{k}.safetensors", lambda h, _, f=field: h["ser"].pop(f)))  # type: ignore[misc]


def put(place: str, value: Any, header: dict[str, Any], _: Any) -> None:
    """Write a value at a place such as `config.head_options.hidden`."""
    *way, last = place.split(".")
    at = header["ser"]
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value


HUGE = 10**9
DECLARED: list[tuple[str, str, Any]] = [
    ("mlp", "config.head_options.hidden", "1000000000"),
    ("mlp", "config.head_options.hidden", HUGE),
    ("mlp", "config.head_options.hidden", ",".join(["1"] * 100_000)),
    ("mlp", "config.head_options.hidden", "8,0"),
    ("mlp", "config.head_options.hidden", "8,-4"),
    ("mlp", "config.head_options.hidden", "9" * 5000),
    ("mlp", "config.head_options", [1]),
    ("mlp", "config.head", "linear"),
    ("mlp", "config.head", "no_such"),
    ("mlp", "config.head", "sklearn:SVC"),
    ("mlp", "config.head", "os:system"),
    ("mlp", "config.epochs", HUGE),
    ("mlp", "config.snapshots", HUGE),
    ("mlp", "config.time_masks", "9" * 5000 + "x1"),
    ("mlp", "config.lr", "fast"),
    ("mlp", "config.more", 1),
    ("mlp", "inputs.0.dim", HUGE),
    ("mlp", "inputs.0.dim", 0),
    ("mlp", "inputs.0.dim", -3),
    ("mlp", "inputs.0.layers", HUGE),
    ("mlp", "inputs.0.vocabulary", HUGE),
    ("mlp", "inputs.0.name", "other"),
    ("mlp", "inputs.0.framewise", "yes"),
    ("mlp", "classes", ["anger"] * 4),
    ("mlp", "classes", [str(k) for k in range(100_000)]),
    ("mlp", "limit", -1),
    ("mlp", "normalize", "all"),
    ("mlp", "stores.toy", {}),
    ("mlp", "stores.toy.identity", [1]),
    ("mlp", "stores.toy.identity.level", 3),
    ("late", "inputs.1.dim", HUGE),
    ("late", "inputs", []),
    ("snapshots", "config.snapshots", 3),
    ("timnet", "config.head_options.blocks", HUGE),
    ("timnet", "config.head_options.hidden", HUGE),
    ("resnet18", "config.head_options.hidden", HUGE),
    ("text_transformer", "config.head_options.layers", HUGE),
    ("text_transformer", "config.head_options.layers", 2),
    ("text_transformer", "config.head_options.heads", 3),
    ("text_transformer", "config.head_options.positions", "learned"),
    ("sklearn:GaussianNB", "inputs.0.dim", HUGE),
    ("sklearn:GaussianNB", "config.head", "sklearn:NoSuch"),
    ("sklearn:GaussianNB", "config.head_options", 3),
    ("sklearn:GaussianNB", "config.scikit_learn", []),
]


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(("name", "place", "value"), DECLARED, ids=lambda v: str(v)[:30])
def test_what_a_file_declares_is_checked_before_it_is_made(
    name: str, place: str, value: Any, heads: dict[str, Path], tmp_path: Path
) -> None:
    line = refused(changed(heads[name], tmp_path / "forged.safetensors", partial(put, place, value)))
    if place.endswith(("hidden", "layers", "blocks")) and isinstance(value, int) and name != "mlp":
        assert f"{place.rpartition('.')[2]}={value}" in line, "it says what is declared"


def poison(name: str, value: float, _: Any, tensors: dict[str, torch.Tensor]) -> None:
    tensors[name] = tensors[name].clone()
    tensors[name][-1] = value


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("tensor", ["weights.0", "mean:toy", "std:toy"])
def test_numbers_that_are_not_finite_are_refused(tensor: str, value: float, heads: dict[str, Path], tmp_path: Path) -> None:
    assert "finite" in refused(changed(heads["mlp"], tmp_path / "f.safetensors", partial(poison, tensor, value)))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_deviation_is_above_zero(value: float, heads: dict[str, Path], tmp_path: Path) -> None:
    assert "above 0" in refused(changed(heads["mlp"], tmp_path / "f.safetensors", partial(poison, "std:toy", value)))


@pytest.mark.usefixtures("bounded")
def test_tensors_are_those_of_the_header(heads: dict[str, Path], tmp_path: Path) -> None:
    weights = load_head(heads["mlp"]).weights[0]
    for number, change in enumerate(
        (
            lambda _, t: t.pop("weights.0"),
            lambda _, t: t.pop("mean:toy"),
            lambda _, t: (t.pop("mean:toy"), t.pop("std:toy")),
            lambda _, t: t.update({"weights.0": weights[:-1].clone()}),
            lambda _, t: t.update({"weights.0": weights[None].clone()}),
            lambda _, t: t.update({"weights.0": weights.double()}),
            lambda _, t: t.update({"weights.1": weights.clone()}),
            lambda _, t: t.update({"more": weights.clone()}),
            lambda _, t: t.update({"mean:other": weights.clone()}),
            lambda _, t: t.update({f"weights.{k}": torch.zeros(1) for k in range(2000)}),
        )
    ):
        refused(changed(heads["mlp"], tmp_path / f"{number}.safetensors", change))


@pytest.mark.usefixtures("bounded")
def test_only_regular_files_are_opened(heads: dict[str, Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    link = tmp_path / "zero.safetensors"
    link.symlink_to("/dev/zero")
    loop = tmp_path / "loop.safetensors"
    loop.symlink_to(loop)
    sparse = tmp_path / "sparse.safetensors"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    good = tmp_path / "good.safetensors"
    good.symlink_to(heads["mlp"])
    for path in (pipe, link, loop, sparse, tmp_path, tmp_path / "missing.safetensors"):
        refused(path)
    assert load_head(good).classes


def test_a_prediction_that_is_not_finite_is_an_error(heads: dict[str, Path], tmp_path: Path) -> None:
    def huge(_: Any, tensors: dict[str, torch.Tensor]) -> None:
        tensors["weights.0"] = torch.full_like(tensors["weights.0"], 3e38)

    head = load_head(changed(heads["mlp"], tmp_path / "f.safetensors", huge))
    with pytest.raises(ConfigError, match="probabilities that are not finite"):
        head.probabilities(blocks_for(head))
    sound = load_head(heads["mlp"])
    (block,) = blocks_for(sound)
    block.values[1, 2] = math.nan
    with pytest.raises(ConfigError, match="probabilities that are not finite"):
        sound.probabilities([block])


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "text"])
def test_a_damaged_head_is_trained_and_written_again(damage: str, maker: Any) -> None:
    maker.table("a")
    maker.store("a", identity={"encoder": "toy"}, strength=0.6)
    given: dict[str, Any] = {"protocol": "official", "runs": 2, "epochs": 1, "jobs": 1, "save": True}
    first = fit("a", maker.space, head="linear", **given)
    folder = maker.space.results / first["experiment"]
    one, other = sorted(folder.glob("*.safetensors"))
    content, untouched = one.read_bytes(), other.stat().st_mtime_ns
    damages = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "header": content.replace(b"config_hash", b"config_hsah"),
        "text": b"version https://git-lfs.github.com/spec/v1\n",
    }
    one.write_bytes(damages[damage])
    with pytest.raises(ConfigError):
        load_head(one)
    again = fit("a", maker.space, head="linear", **given)
    assert again["pooled"] == first["pooled"]
    assert one.read_bytes() == content
    assert other.stat().st_mtime_ns == untouched


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutations(draw: st.DrawFn) -> Change:
    """One to three changes of header and tensors."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from(["value", "delete", "number", "tensor", "cast"]), st.randoms()), max_size=3)
    )
    values = draw(st.lists(json_values, min_size=3, max_size=3))

    def change(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        for (kind, random), value in zip(steps, values, strict=False):
            if kind in ("value", "delete", "number"):
                at: Any = header["ser"]
                while True:
                    keys = list(at) if isinstance(at, dict) else list(range(len(at)))
                    if not keys:
                        break
                    key = random.choice(keys)
                    if isinstance(at[key], (dict, list)) and at[key] and random.random() < 0.7:
                        at = at[key]
                        continue
                    if kind == "delete":
                        del at[key]
                    else:
                        at[key] = value if kind == "value" else random.choice([0, -1, 1, 2, 10**9, 2**63, 0.5, 1e300])
                    break
            elif tensors:
                name = random.choice(list(tensors))
                flat = tensors[name].reshape(-1).clone()
                if kind == "cast":
                    tensors[name] = flat.to(random.choice([torch.float64, torch.float16, torch.uint8, torch.int64]))
                elif len(flat):
                    flat[random.randrange(len(flat))] = (
                        random.choice([0, 1, 100])
                        if not flat.is_floating_point()
                        else random.choice([math.nan, math.inf, 0.0, -1.0, 1e30])
                    )
                    tensors[name] = flat.view(tensors[name].shape)

    return change


@settings(max_examples=int(os.environ.get("SER_FUZZ_EXAMPLES", "120")), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(list(HEADS)),
    change=mutations(),
    cut=st.integers(0, 200),
    flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3),
)
def test_any_file_ends_in_a_head_or_one_error(
    name: str, change: Change, cut: int, flips: list[tuple[int, int]], heads: dict[str, Path], tmp_path: Path
) -> None:
    attempt(heads[name], tmp_path / "mutated.safetensors", change, cut, flips)


def attempt(source: Path, path: Path, change: Change, cut: int, flips: list[tuple[int, int]]) -> bool:
    """Load a mutated head and predict with it: in the end there are finite probabilities, or one error. True for a head."""
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    changed(source, path, change)
    content = bytearray(path.read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(content[: len(content) - max(0, cut - 150)])
    try:
        head = load_head(path)
        if sum(i.dim * i.layers for i in head.inputs) < 10_000:
            assert np.isfinite(predicted(head)).all()
        line = ""
    except SerError as error:
        line = str(error)
    assert "\n" not in line
    assert "--jobs" not in line
    assert time.process_time() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024
    return not line


def test_a_head_that_is_not_there_names_those_beside_it(tmp_path: Path) -> None:
    for fold in ("00", "01"):
        (tmp_path / f"run-000.fold-{fold}.safetensors").touch()
    with pytest.raises(ConfigError, match=r"Beside it: run-000\.fold-00\.safetensors, run-000\.fold-01\.safetensors\."):
        load_head(tmp_path / "run-000.fold-0.safetensors")
    with pytest.raises(ConfigError, match="Train one with: ser fit"):
        load_head(tmp_path / "elsewhere" / "run-000.fold-0.safetensors")
