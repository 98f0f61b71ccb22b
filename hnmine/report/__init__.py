"""What a person looks at: a report on mined negatives, one query of them, two runs compared."""
