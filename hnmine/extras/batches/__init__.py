"""Training batches whose rows serve each other as hard in-batch negatives."""
