"""What share of the negatives is likely false, and what gives them away."""
