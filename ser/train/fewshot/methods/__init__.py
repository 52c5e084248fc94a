"""Plugins: one file per method of learning from few labelled utterances of a target corpus."""

KIND = "few-shot method"
GROUP = "ser.fewshot"
WORD = "fewshot"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "simpleshot"
TRY = "ser fewshot --source demo-studio --target demo-room --scheme 6 --protocol speaker --folds 4 --methods ./NAME.py"
NEEDS = ("FROM_SOURCE", "NEEDS_SOURCE", "READS_EMBEDDING", "learn")  # of a plugin from outside, see `ser.outside`
