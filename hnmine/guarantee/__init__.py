"""A bound on the share of false negatives that judgements of a random sample can prove."""
