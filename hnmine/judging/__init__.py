"""Machine judges of a sheet: language models and rerankers, measured on rows of known truth."""
