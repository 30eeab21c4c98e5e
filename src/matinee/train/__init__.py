"""From a version to a trained, measured and exported model that MLflow and the lineage know."""
