"""Expressions over the candidates, in SQL."""
