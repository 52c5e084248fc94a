"""Parts that `ser new` copies if the folder of a kind has no file that works by itself, and the commands that use them."""
