"""What `ser new` copies where the folder of a kind has no file that works by itself: a part, and the command that uses it."""
