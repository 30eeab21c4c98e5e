"""The services that tests of the stack share."""

from __future__ import annotations

from services import stack_service

__all__ = ["stack_service"]
