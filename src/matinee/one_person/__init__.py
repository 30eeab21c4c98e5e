"""One person at a time: what they took last, what a model offered them, and what they took next."""
