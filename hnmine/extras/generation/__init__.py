"""Texts made to be negatives: positives edited by rule, or written by a language model."""
