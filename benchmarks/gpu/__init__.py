"""hnmine and sentence-transformers on one GPU, side by side."""
