"""The share of false negatives, and shortcuts that tell negatives from positives."""
