"""Plugins: one file for each head; `_base.py` describes such a file."""

KIND = "head"
CLASS, BASE = "Head", "torch.nn:Module"  # of a plugin from outside, see `ser.outside`
OTHERS = ("ser.train.losses._base:Term", "ser.train.adapt._base:Adaptation")  # modules too, but no heads
