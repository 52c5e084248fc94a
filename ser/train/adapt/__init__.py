<<<<<<< HEAD
"""Plugins: one file a method of unsupervised domain adaptation."""

KIND = "adaptation method"
=======
"""Plugins: one file for each method of unsupervised domain adaptation. `_base.py` says what a file holds."""
>>>>>>> 7fbfe74 (The loop reads from top to bottom: optional parts are callbacks; rooms loop and nn by content)
