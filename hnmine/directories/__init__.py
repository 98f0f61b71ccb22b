"""Readers of index, candidates and mined directories, one each."""
