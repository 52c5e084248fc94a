"""Results of simulated text: taken by name only, stamped, and out of comparisons; fixed sentences stay stamped."""

import hashlib
from typing import Any

import pytest

from ser.errors import ConfigError, TrainingError
from ser.extract.encoder import load
from ser.extract.extraction import extract
from ser.extract.options import EncoderOptions
from ser.extract.request import Extraction, ExtractionRequest, extract_dataset
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_tensors
from ser.metadata.table import Table, load_table
from ser.metadata.texts.simulated import sentence
from ser.metadata.texts.text_sources import LEAKS, Transcript, Transcripts, transcripts_file
from ser.results.records.stamps import refuse_void, voids
from ser.train.experiments.ablate import ablate
from ser.train.experiments.fit import fit
from ser.workspace import Workspace

FIXED = "fixed sentences"


@pytest.fixture
def space(maker: Any) -> Workspace:
    """Audio features, and word pieces of simulated text, of a corpus with fixed sentences."""
    maker.table("toy", each=4, sentences=4)
    maker.store("toy", "sound", strength=0.5)
    made: Workspace = maker.space
    words(made, "simulated")
    return made


def words(space: Workspace, source: str) -> None:
    request = ExtractionRequest(text=["wordpiece"], text_source=source)
    assert [r.failed for r in extract_dataset(Extraction("toy", None, request, space), lambda _: None, {})] == [0]


def quick(space: Workspace, **options: Any) -> dict[str, Any]:
    given = {"head": "mean_linear", "runs": 1, "epochs": 30, "lr": 1e-2, "jobs": 1, "device": "cpu", "protocol": "official"}
    return fit("toy", space, **{**given, **options})


def test_what_is_cached_leaves_simulated_text_out(space: Workspace) -> None:
    assert sorted(space.stores("toy")) == ["sound", "wordpiece+simulated"]
    data = load_tensors("toy", space)
    assert [b.name for b in data.blocks] == ["sound"]
    with pytest.raises(ConfigError, match=r"only text of toy is simulated.*: wordpiece\+simulated. To study that, name it"):
        load_tensors("toy", space, modalities=["text"])
    with pytest.raises(ConfigError, match="wordpiece"):
        load_tensors("toy", space, stores=["sound", "wordpiece"])  # the short name is that of the corpus's own text
    words(space, "corpus")
    assert [b.name for b in load_tensors("toy", space).blocks] == ["sound", "wordpiece"]
    assert [b.name for b in load_tensors("toy", space, stores=["wordpiece"]).blocks] == ["wordpiece"]
    named = load_tensors("toy", space, stores=["wordpiece+simulated"])
    assert named.text_sources == {"wordpiece+simulated": "simulated"}


def test_a_workspace_of_nothing_but_simulated_text(maker: Any) -> None:
    maker.table("toy")
    words(maker.space, "simulated")
    with pytest.raises(ConfigError, match="only text of toy is simulated"):
        load_tensors("toy", maker.space)


def test_a_table_of_simulated_text_is_known_for_it(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "sound")
    path = maker.space.table("toy")
    table = load_table("toy", maker.space)
    table.frame["text_source"] = "simulated"
    table.frame.to_csv(path, index=False)
    words(maker.space, "corpus")
    assert [b.name for b in load_tensors("toy", maker.space).blocks] == ["sound"]
    summary = quick(maker.space, stores=["wordpiece"])
    assert "simulated-text" in voids(summary["stamps"])


def test_features_are_of_the_sentences_of_their_seed(space: Workspace) -> None:
    words(space, "simulated-7")
    table = load_table("toy", space)
    for source, seed in (("simulated", 0), ("simulated-7", 7)):
        frame = table.frame.assign(text=[sentence(e, i, seed) for e, i in zip(table.frame["emotion"], table.ids, strict=True)])
        alone = Workspace(space.root / f"alone-{seed}")
        extract(Table(frame, "toy", table.facts), load("wordpiece", "text", EncoderOptions()), alone, quiet=True)
        with (
            FeatureStore(alone.store("toy", "wordpiece")) as expected,
            FeatureStore(space.store("toy", f"wordpiece+{source}")) as found,
        ):
            assert found.sources() == expected.sources()
            assert found.assets == expected.assets
            assert all((found[i] == expected[i]).all() for i in table.ids)


def test_results_are_stamped_and_not_compared_unless_by_name(space: Workspace) -> None:
    words(space, "corpus")
    made_up, real, both = (
        quick(space, stores=stores) for stores in (["wordpiece+simulated"], ["wordpiece"], ["wordpiece", "wordpiece+simulated"])
    )
    assert made_up["pooled"]["UA"]["mean"] > 0.8 > 0.5 > real["pooled"]["UA"]["mean"]  # that is what leaking does
    assert ["simulated-text" in voids(s["stamps"]) for s in (made_up, real, both)] == [True, False, True]
    assert [any(t.startswith(FIXED) for t in s["stamps"]) for s in (made_up, real, both)] == [False, True, True]
    assert [t for t in made_up["stamps"] if t.startswith(LEAKS)] == [
        f"{LEAKS}: the sentences of wordpiece+simulated were written for each emotion and chosen by the true label"
    ]
    source = made_up["data"]["stores"]["wordpiece+simulated"]["identity"]["text_source"]
    assert source["name"] == "simulated"
    stamps = {"real": real["stamps"], "made-up": made_up["stamps"]}
    with pytest.raises(ConfigError, match=r"made-up cannot be compared: .*simulated.*--allow simulated-text"):
        refuse_void(stamps)
    assert len(refuse_void(stamps, ["simulated-text"])) == 1


def test_an_ablation_takes_simulated_text_by_name_only(space: Workspace) -> None:
    given = {"runs": 1, "epochs": 2, "jobs": 1, "device": "cpu", "protocol": "official", "head": "late"}
    with pytest.raises((ConfigError, TrainingError), match="features of audio alone are used"):
        ablate("toy", space, **given)
    study = ablate("toy", space, **{**given, "head": "early"}, stores=["sound", "wordpiece+simulated"], simple="late")
    assert "simulated-text" in voids(study["stamps"])


def test_transcripts_of_fixed_sentences_are_stamped_for_both(space: Workspace) -> None:
    table = load_table("toy", space)
    made = Transcripts(
        transcripts_file(space, "toy", "asr-toy"), {"identity": {"model": "me/toy", "language": "en"}, "provenance": {}}
    )
    heard = [
        (i, Transcript(f"{text} heard", hashlib.sha256(i.encode()).digest()))
        for i, text in zip(table.ids, table.frame["text"], strict=True)
    ]
    made.add(heard)
    words(space, "asr")
    summary = quick(space, stores=["wordpiece+asr"])
    assert "simulated-text" not in voids(summary["stamps"])
    assert any(t.startswith(FIXED) for t in summary["stamps"])
    assert "recognised text: wordpiece+asr-toy is of transcripts by me/toy, not of the corpus's text" in summary["stamps"]
