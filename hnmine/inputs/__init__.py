"""What comes in: files, tables, records, texts, and when two texts are the same."""
