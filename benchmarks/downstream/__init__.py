"""What students learn from mined negatives: train on them, and measure on other queries."""
