"""What is searched: the documents, the BM25 postings and the dense vectors."""
