"""Training, and what is kept of it: so far the tracking of data versions in MLflow."""
