"""The directories that hnmine writes, opened: one reader each."""
