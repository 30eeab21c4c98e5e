"""Plays a split's events through served models as live traffic, and measures quality and behaviour together."""
