"""The services around Matinee, started on this machine: so far the embedded S3."""
