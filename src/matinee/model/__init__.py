"""Models: SSE-PT, its relatives and baselines, one file each; checkpoints; export. No training loop, no evaluation."""
