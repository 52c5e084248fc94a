"""The ledger of corpora that encoders have seen: its form, and the sentences that results carry."""

import re
import subprocess
import sys
from difflib import get_close_matches

import pytest

from ser import registry
from ser.extract.encoders.emotion2vec import EMOBOX
from ser.metadata import ledger
from ser.metadata.corpora.emobox import LANGUAGE_OF
from ser.metadata.corpus import CORPORA, corpus

ENCODERS = "ser.extract.encoders"
STORE = {"encoder": "emotion2vec", "identity": {"model": "iic/emotion2vec_base"}}


@pytest.mark.parametrize(
    ("names", "of", "status"),
    [
        (("emotion2vec", "iic/emotion2vec_base"), "iemocap", "pre-training"),
        (("emotion2vec",), "ravdess", "clean"),
        (("emotion2vec/emotion2vec_plus_large",), "cremad", "fine-tuning"),
        (("emotion2vec-plus-seed",), "nemo", "clean"),
        (("emotion2vec-plus-base",), "nemo", "unknown"),
        (("emotion2vec-base-finetuned",), "emodb", "unknown"),
        (("superb/wav2vec2-base-superb-er",), "iemocap", "fine-tuning"),
        (("facebook/wav2vec2-base",), "iemocap", "clean"),
        (("facebook/wav2vec2-xls-r-300m",), "urdu", "unknown"),
        (("facebook/wav2vec2-xls-r-300m",), "emodb", "clean"),
        (("openai/whisper-large-v3",), "ravdess", "unknown"),
        (("egemaps", ""), "iemocap", "clean"),
        (("facebook/wav2vec2-base-960h-finetuned-on-something",), "emodb", "unknown"),
        (("someone/wav2vec2-xls-r-300m-emotion",), "emodb", "unknown"),
        (("speechbrain/emotion-diarization-wavlm-large",), "ravdess", "fine-tuning"),
        (("superb/hubert-large-superb-er",), "ravdess", "clean"),
        (("models/Emotion2vec_Base/",), "meld", "pre-training"),
    ],
)
def test_status(names: tuple[str, ...], of: str, status: str) -> None:
    assert ledger.status(of, *names) == status


def test_every_encoder_that_is_offered_is_in_the_ledger() -> None:
    for name in registry.names(ENCODERS):
        plugin = registry.load(ENCODERS, name)
        for short, known in plugin.CHECKPOINTS.items():
            assert ledger.entry(short) is not None, short
            assert ledger.entry(known.hub) is ledger.entry(short), known.hub
        if not plugin.CHECKPOINTS:
            assert ledger.entry(name) is not None, name


def test_entries_are_well_formed() -> None:
    known = {*registry.names(CORPORA), *LANGUAGE_OF, "mosei", "asvpesd", "esd"}
    for name, data in ledger.entries().items():
        assert name == name.lower().replace("_", "-")
        assert data.source
        assert {*data.seen.values(), data.otherwise} <= set(ledger.STATUSES)
        for other in set(data.seen) - known:  # a corpus without a plugin here, and not a known one misspelt
            assert re.fullmatch(r"[a-z0-9_]+", other)
            assert not get_close_matches(other, known, cutoff=0.85)
    assert len(EMOBOX) == 32
    assert set(EMOBOX) == {*LANGUAGE_OF, "asvpesd", "esd"}  # those two are of several languages


def test_the_longest_pattern_and_the_first_known_name_count(monkeypatch: pytest.MonkeyPatch) -> None:
    some = {c: ledger.TrainingData(c) for c in ("a-*", "a-b-*", "a-b-c", "z")}
    monkeypatch.setattr(ledger, "entries", lambda: some)
    assert [ledger.entry(*n).source for n in (("x/A_B_C",), ("a-b-d",), ("a-d",), ("q", "z"), ("z", "a-b-c"))] == [
        "a-b-c", "a-b-*", "a-*", "z", "z"]  # fmt: skip
    assert ledger.entry("q", "") is None


def test_reading_it_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "funasr", "librosa", "opensmile", "tokenizers")
    code = f"import sys; from ser.metadata import ledger; ledger.entries(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_stamps_say_who_saw_what() -> None:
    facts = {"corpus": "iemocap", "utterances_of_release": 10039}
    (sentence,) = ledger.encoder_stamps(facts, {"emotion2vec.frame": STORE, "egemaps": {"encoder": "egemaps"}})
    assert sentence.startswith("encoder has seen this corpus: emotion2vec.frame in pre-training; ")
    assert "Ma et al." in sentence
    (sentence,) = ledger.encoder_stamps(facts, {"mine": {"encoder": "mine", "identity": {"model": "someone/mine"}}})
    assert sentence == "encoder may have seen this corpus: mine; what it was trained on is not known here"
    assert ledger.encoder_stamps({"corpus": "emodb", "utterances_of_release": 535}, {"e": STORE}) == []


def test_stamps_of_imports_of_ones_own_and_of_synthetic_corpora() -> None:
    assert len(ledger.encoder_stamps({"corpus": "emobox", "source_corpus": "meld"}, {"e": STORE})) == 1
    whisper = {"w": {"encoder": "whisper-tiny", "identity": {"model": "openai/whisper-tiny"}}}
    assert ledger.encoder_stamps({"corpus": "csv", "utterances_of_release": None}, whisper) == []
    assert ledger.encoder_stamps({"corpus": "emodb", "synthetic": True, "utterances_of_release": None}, whisper) == []
    assert ledger.encoder_stamps({}, whisper) == []


def test_words_for_people() -> None:
    lines = ledger.in_words("emotion2vec")
    assert lines[0] == "pre-training: iemocap, meld, mead, mosei, msppodcast"
    assert lines[1] == "clean: all others"
    assert ledger.in_words("whisper-tiny")[0] == "unknown: all"
    assert ledger.in_words("no/such")[0].startswith("not in the ledger")
    assert "emotion2vec" in ledger.encoders_that_saw("meld")["pre-training"]
    assert "clean" not in ledger.encoders_that_saw("emodb")
    assert corpus("iemocap").UTTERANCES


def test_the_recogniser_of_a_text_is_judged_too() -> None:
    facts = {"corpus": "emodb", "utterances_of_release": 535}

    def of(model: str) -> list[str]:
        heard = {"encoder": "wordpiece", "identity": {"model": None, "text_source": {"name": "asr-x", "model": model}}}
        return ledger.encoder_stamps(facts, {"wordpiece+asr-x": heard})

    (sentence,) = of("openai/whisper-small")
    assert sentence.startswith("speech recogniser may have seen this corpus: wordpiece+asr-x, text by openai/whisper-small; ")
    assert "Radford et al." in sentence
    assert of("tiny-speaking")[0].endswith("what it was trained on is not known here")
    assert of("facebook/wav2vec2-base") == []
    assert ledger.encoder_stamps(facts, {"wordpiece": {"encoder": "wordpiece", "identity": {"model": None}}}) == []
