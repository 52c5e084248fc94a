"""Audio and text -> feature stores (stage one). The only room that imports transformers, funasr, opensmile and librosa."""
