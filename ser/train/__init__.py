"""Tensors -> trained heads (stage two). Needs neither transformers nor funasr."""
