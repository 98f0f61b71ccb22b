"""Training batches whose rows are hard negatives of each other, and are not false ones."""
