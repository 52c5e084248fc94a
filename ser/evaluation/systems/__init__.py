"""Systems that were not trained here: their answers become the same records as those of heads."""
