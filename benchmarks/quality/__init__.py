"""The hidden-positive protocol: what rules for hard negatives let through on judged collections."""
