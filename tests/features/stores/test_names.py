"""The options of `ser extract` are read back from a store's name, so that an error's advice makes the same store."""

import pytest

from ser.extract.options import EncoderOptions, store_name
from ser.features.stores.names import options_of_name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (EncoderOptions(), "wavlm-base"),
        (EncoderOptions(level="frame"), "wavlm-base --level frame"),
        (EncoderOptions(level="frame", layers=(6,)), "wavlm-base --level frame --layers 6"),
        (EncoderOptions(layers=(1, 2), pooling="cls"), "wavlm-base --pooling cls --layers 1,2"),
        (EncoderOptions(layers="all"), "wavlm-base --layers all"),
    ],
)
def test_the_words_that_made_a_store(options: EncoderOptions, words: str) -> None:
    assert options_of_name(store_name("wavlm-base", options, "utterance")) == words
    assert options_of_name(store_name("wavlm-base", options, "utterance") + "@speed0.95") == words


def test_the_text_s_source_is_among_them() -> None:
    assert options_of_name("bert+simulated-3.frame") == "bert --text-source simulated-3 --level frame"
