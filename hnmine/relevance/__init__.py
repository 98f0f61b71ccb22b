"""How likely a candidate is relevant, learned from the user's own positives."""
