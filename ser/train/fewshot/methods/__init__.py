"""Plugins: one file per method of learning from few labelled utterances of a target corpus."""

KIND = "few-shot method"
