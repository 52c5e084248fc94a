"""Plugins: one file a kind of picture.

`ORDER` in a report; `fits(source)`; `draw(source, metric)`; and `words(source, metric)`: the same as text.
"""

KIND = "picture"
