"""The command line: one file a command or command group; wiring and printing only."""

from __future__ import annotations

from matinee.cli.main import main

__all__ = ["main"]
