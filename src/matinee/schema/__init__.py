"""The shapes that cross a room's border: columns, settings, manifest, certificate, progress."""
