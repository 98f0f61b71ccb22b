"""`hnmine report`, `hnmine inspect` and `hnmine compare`."""
