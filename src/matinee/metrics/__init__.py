"""Ranking metrics and what may be concluded from them; NumPy only."""
