"""`python -m matinee` is `matinee`."""

from __future__ import annotations

import sys

from matinee.cli import main

__all__: list[str] = []

sys.exit(main())
