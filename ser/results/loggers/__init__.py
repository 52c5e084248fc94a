"""Plugins: one file a tracker. `PACKAGE` it needs, and `write(source, folder)`: a summary's runs, curves and scores into it.

What is written comes from the records; writing the same result again changes nothing.
"""
