"""Few-shot learning: subsets of labelled target data, the methods that learn from them, and their training."""
