"""The checks of `ser doctor`: packages, hardware, models and the workspace, and what to do about each."""
