"""Mixtures of vectors as synthetic negatives."""
