"""The services around Matinee on this machine: Postgres, S3, MLflow and JupyterLab, kept up by one supervisor."""

from __future__ import annotations

from matinee.stack.lifecycle import Stack, running

__all__ = ["Stack", "running"]
