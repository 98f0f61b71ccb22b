"""Benchmarks of hnmine and sentence-transformers on one GPU."""
