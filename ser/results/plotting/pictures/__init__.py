"""Plugins: one file per kind of picture.

`ORDER` in a report; `fits(result)`; `draw(result, metric)`; and `words(result, metric)`: the same as text.
"""

KIND = "picture"
