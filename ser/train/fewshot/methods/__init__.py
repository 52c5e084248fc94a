"""Plugins: one file per method of learning from few labelled utterances of a target corpus."""

KIND = "few-shot method"
GROUP = "ser.fewshot"
NEEDS = ("FROM_SOURCE", "NEEDS_SOURCE", "READS_EMBEDDING", "learn")  # of a plugin from outside, see `ser.outside`
