"""What Alembic runs around the steps: they are taken on the connection, and in the transaction, of whoever asks."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
