"""Few-shot experiments: heads trained on a few labels of the target corpus, and the curve over their number."""
