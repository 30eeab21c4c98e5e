"""The checkup: what `matinee doctor` looks at on a machine, one file a subject; it changes nothing."""
