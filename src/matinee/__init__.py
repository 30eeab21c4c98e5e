"""A rehearsal before the evening show, for recommenders that learn from sequences."""
__version__="0"
