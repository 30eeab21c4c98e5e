"""The first tables: data sets, versions, their users and items, and events told back by a live system."""

from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE datasets (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE versions (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        dataset integer NOT NULL REFERENCES datasets,
        format integer NOT NULL,
        source_sha256 text NOT NULL,
        manifest_sha256 text NOT NULL,
        settings jsonb NOT NULL,
        users integer NOT NULL,
        users_kind text NOT NULL CHECK (users_kind IN ('integer', 'string')),
        users_sha256 text NOT NULL,
        items integer NOT NULL,
        items_kind text NOT NULL CHECK (items_kind IN ('integer', 'string')),
        items_sha256 text NOT NULL,
        split text NOT NULL,
        cuts bigint[] NOT NULL,
        train bigint NOT NULL,
        eval bigint NOT NULL,
        test bigint NOT NULL,
        location text,
        registered timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ON versions (dataset, number)",
    # One part a version: it is filled as a table of its own, which is what makes the fill fast, and dropped as one. Its
    # keys begin with what differs inside a part: an index sorts by the first column much faster than by a second.
    """
    CREATE TABLE users (
        version integer NOT NULL,
        id integer NOT NULL,
        raw text COLLATE "C" NOT NULL,
        first_seen bigint NOT NULL,
        last_seen bigint NOT NULL,
        events bigint NOT NULL,
        PRIMARY KEY (id, version),
        UNIQUE (raw, version)
    ) PARTITION BY LIST (version)
    """,
    """
    CREATE TABLE items (
        version integer NOT NULL,
        id integer NOT NULL,
        raw text COLLATE "C" NOT NULL,
        first_seen bigint NOT NULL,
        last_seen bigint NOT NULL,
        events bigint NOT NULL,
        PRIMARY KEY (id, version),
        UNIQUE (raw, version)
    ) PARTITION BY LIST (version)
    """,
    # Append-only, and by raw ids: a live system meets users and items that no version has numbered. `teller` and
    # `number` are the teller's own, so that what it tells again after a crash is known again. `place` is the order of
    # arrival, per user the order in which a history is read.
    """
    CREATE TABLE told_events (
        place bigint GENERATED ALWAYS AS IDENTITY,
        dataset integer NOT NULL,
        number bigint NOT NULL,
        teller uuid NOT NULL,
        "timestamp" bigint NOT NULL,
        told timestamptz NOT NULL DEFAULT now(),
        rating double precision,
        "user" text COLLATE "C" NOT NULL,
        item text COLLATE "C" NOT NULL,
        PRIMARY KEY (teller, number)
    )
    """,
    # A history is read from the index alone: its events lie side by side there, and scattered in the table.
    'CREATE INDEX ON told_events (dataset, "user", place) INCLUDE (item, "timestamp")',
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
