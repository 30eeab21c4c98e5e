"""Extract, transform, load: from a log in an archive to a verified version in a store."""
