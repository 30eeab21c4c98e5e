"""The steps from an empty database to today's tables, for Alembic; `matinee.database.migrate` takes them."""
