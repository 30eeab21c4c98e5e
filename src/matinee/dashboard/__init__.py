"""The live page: what a data folder tells of the journey, read-only."""
