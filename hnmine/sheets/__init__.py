"""Sheets of pairs to judge: the file that people and machines fill, and the draw of its rows."""
