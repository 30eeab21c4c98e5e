"""An index by place: whoever keeps histories in memory reads what was told since it last looked."""

from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX ON told_events (dataset, place)")
