"""What drops a candidate, and why; the verdict on each."""
