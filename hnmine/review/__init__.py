"""Candidates for a person to judge: which ones, and the page to go through them."""
