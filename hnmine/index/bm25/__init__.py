"""BM25: the formulas, an inverted index on disk, exact search in it, and a reference."""
