"""Generated negatives: positives edited by rule, or texts written by a language model."""
