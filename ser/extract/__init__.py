"""Audio and text -> feature stores (stage one). The only room that imports transformers, funasr and opensmile."""
