"""Users and items that a version numbers without an event of theirs: they were never seen first nor last."""

from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Let both be null; parts that are there follow."""
    for table in ("users", "items"):
        op.execute(f"ALTER TABLE {table} ALTER first_seen DROP NOT NULL, ALTER last_seen DROP NOT NULL")
