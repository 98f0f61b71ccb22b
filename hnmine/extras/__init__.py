"""Extras: generation, mixing and batches. They import the core; the core imports none of them."""
