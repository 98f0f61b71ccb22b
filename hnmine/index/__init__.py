"""The index: documents, BM25 postings and dense vectors."""
