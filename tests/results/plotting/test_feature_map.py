"""The picture of a store's features: what is drawn, and the share of neighbours that are alike."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ser
from ser.cli import main
from ser.errors import ConfigError
from ser.metadata.table import load_table, write_table
from ser.results.plotting.feature_map import neighbours_alike


@pytest.fixture
def space(maker: Any) -> Any:
    for name in ("a", "b"):
        maker.table(name)
        maker.store(name, "flat", strength=4.0)
    maker.store("a", "layers", layers=(1.0, 2.0))
    maker.store("a", "frames", framewise=True)
    maker.store("a", "pieces", modality="text", framewise=True, vocabulary=20)
    return maker.space


def points(axes: Any) -> int:
    return sum(len(part.get_offsets()) for part in axes.collections)


@pytest.mark.parametrize("store", ["flat", "layers", "frames"])
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_every_utterance_is_a_point_in_every_panel(space: Any, store: str, method: str) -> None:
    figure = ser.plot_store("a", space, store=store, by="emotion,speaker", method=method)
    assert [points(axes) for axes in figure.axes] == [96, 96]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["anger", "happiness", "neutral", "sadness"]
    again = ser.plot_store("a", space, store=store, by="emotion,speaker", method=method)
    places = [np.asarray(f.axes[0].collections[1].get_offsets()) for f in (figure, again)]
    assert (places[0] == places[1]).all()


def test_corpora_are_told_apart_and_some_are_drawn(space: Any) -> None:
    figure = ser.plot_store(["a", "b"], space, store="flat", by="corpus", method="pca", limit=50)
    assert points(figure.axes[0]) == 50
    assert "flat of a, b: 50 of 192 utterances" in figure.get_suptitle()
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["a", "b"]


def test_numbers_are_coloured_by_a_scale_and_the_missing_are_grey(space: Any) -> None:
    table = load_table("a", space)
    table.frame["duration"] = np.linspace(1, 2, 96)
    table.frame.loc[:9, "duration"] = np.nan
    write_table(table, space)
    axes = ser.plot_store("a", space, store="flat", by="duration", method="pca").axes
    assert len(axes) == 2  # the second is the scale
    assert [len(part.get_offsets()) for part in axes[0].collections] == [10, 86]


def test_the_share_of_alike_neighbours_is_that_of_pairs() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(["x", "y"], [30, 10])
    apart = rng.normal(size=(40, 3)) + 100.0 * (values == "x")[:, None]
    alike, chance, count = neighbours_alike(apart, list(values))
    assert alike == pytest.approx((30 * 10 + 10 * 9) / 400)  # the ten have nine of their own kind
    assert chance == pytest.approx((30 / 40) * (29 / 39) + (10 / 40) * (9 / 39))
    assert count == 10
    mixed, _, _ = neighbours_alike(rng.normal(size=(40, 3)), list(values))
    assert abs(mixed - chance) < 0.1


@pytest.mark.parametrize("name", ["prompt", "split"])
def test_a_column_with_few_values(space: Any, name: str) -> None:
    """Of one there is nothing to compare; of few the title names the neighbours that there are."""
    table = load_table("a", space)
    table.frame["prompt"] = ["x"] * 3 + ["y"] + [""] * 92
    table.frame["split"] = table.frame["prompt"].replace({"x": "", "y": "train"})
    write_table(table, space)
    if name == "prompt":
        title = ser.plot_store("a", space, store="flat", by=name, method="pca").axes[0].get_title(loc="left")
        assert title == "prompt; 3 nearest: 50 % alike (chance 50 %)"
        return
    with pytest.raises(ConfigError, match="one utterance alone has a value in column split; expected two or more"):
        ser.plot_store("a", space, store="flat", by=name, method="pca")


def test_umap_is_asked_where_it_is_installed(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def umap(**options: Any) -> Any:
        asked.update(options)
        return SimpleNamespace(fit_transform=lambda values: values[:, :2])

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=umap))
    assert points(ser.plot_store("a", space, store="flat", method="umap", seed=3).axes[0]) == 96
    assert asked == {"n_neighbors": 15, "random_state": 3, "n_jobs": 1}
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"pip install 'ser\[umap\]'"):
        ser.plot_store("a", space, store="flat", method="umap")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": "pieces"}, "ids of word pieces"),
        ({"store": "flat", "by": "mood"}, "unknown column 'mood'"),
        ({"store": "flat", "by": "valence"}, "no utterance has a value in column valence"),
        ({"store": "flat", "method": "sne"}, "unknown method 'sne'"),
        ({"store": "flat", "limit": 3}, "too few utterances"),
        ({"store": "flat", "seed": -1}, "seed = -1; expected a whole number from 0 to 4294967295"),
        ({"store": "flat", "by": []}, "by names nothing; expected one name or several"),
    ],
)
def test_what_cannot_be_drawn_is_refused(space: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ser.plot_store("a", space, **options)


def test_the_command_writes_it_beside_the_store(space: Any) -> None:
    words = ["store", "plot", "--dataset", "a", "--store", "flat", "--method", "pca", "--workspace", str(space.root)]
    assert main(words) == 0
    assert (space.features("a") / "flat.emotion.pca.png").read_bytes().startswith(b"\x89PNG")
    own = space.root / "mine.png"
    own.write_text("mine")
    assert main([*words, "--output", str(own)]) == 2
    assert own.read_text() == "mine"
    assert main([*words, "--output", str(own), "--overwrite"]) == 0
    assert own.read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--output", str(space.root / "mine.txt")]) == 2
    words[words.index("a")] = "a,b"
    assert main([*words, "--by", "corpus,speaker"]) == 0
    assert (space.features("a") / "flat.with-b.corpus-speaker.pca.png").is_file()


def test_long_values_are_cut_in_the_legend(space: Any, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    table = load_table("a", space)
    table.frame["prompt"] = ["a sentence that is much too long for the legend of a picture", "short"] * 48
    write_table(table, space)
    figure = ser.plot_store("a", space, store="flat", by="prompt", method="pca")
    figure.savefig(tmp_path / "x.png")
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a sentence that is much t…", "short"]
    assert not [w for w in recwarn if "constrained_layout" in str(w.message)]
