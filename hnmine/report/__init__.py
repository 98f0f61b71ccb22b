"""`hnmine report`, `hnmine inspect` and `hnmine diff`."""
