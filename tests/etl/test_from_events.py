"""Events told, in a real Postgres, become the next version: the base's ids stay, each event is there once."""

from __future__ import annotations

import csv
import io
import itertools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matinee
from matinee import database
from matinee.database import Told, migrate, tell
from matinee.errors import (
    DatabaseError,
    SourceNotFoundError,
    TooManyRejectsError,
    UsageError,
    VersionDamagedError,
    VersionNotFoundError,
)
from matinee.etl.from_events import NextVersion, from_events_in
from matinee.etl.options import settings_from_options
from matinee.etl.transform import transform
from matinee.lineage import LocalFiles, Recorder, trace
from matinee.schema.layout import SPLITS, events_path, text_path
from matinee.schema.manifest import Manifest
from matinee.schema.transform_settings import TransformSettings
from matinee.version import Version, open_version
from toy_version import contents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Listener
    from matinee.schema.certificate import Certificate
    from services import PostgresServer

pytestmark = [pytest.mark.xdist_group("postgres"), pytest.mark.usefixtures("_plain_page")]

_LOGS = itertools.count()


class Row(NamedTuple):
    """An event with raw ids."""

    user: str
    item: str
    rating: float | None
    time: int


@pytest.fixture(scope="module")
def _plain_page() -> Iterator[None]:
    """The certificate's page without its plots: they cost half a second a version, and have tests of their own."""

    def write_page(certificate: Certificate, path: Path) -> None:
        path.write_text(certificate.to_json(), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matinee.etl.certificate_page.write_page", write_page)
        yield


@pytest.fixture(scope="module")
def url(postgres_service: PostgresServer) -> str:
    """A database for all tests of the module, each with logs of its own."""
    from matinee.stack import postgres

    postgres.ensure_database(postgres_service.url(), "from_events")
    migrate(postgres_service.url("from_events"))
    return postgres_service.url("from_events")


@dataclass
class Scene:
    """A base version of rows, and a log of the same name; `folder` is this scene's own."""

    url: str
    folder: Path
    base: Version
    teller: UUID
    told: int = 0

    def tell(self, rows: Sequence[Row], rehearsal: str = "") -> None:
        """Append to the log."""
        log = f"{self.base.name}/{rehearsal}" if rehearsal else self.base.name
        events = [Told(self.told + at, row.user, row.item, row.time, row.rating) for at, row in enumerate(rows)]
        self.told += len(rows)
        with psycopg.connect(self.url) as connection:
            connection.execute("INSERT INTO datasets (name) VALUES (%s) ON CONFLICT DO NOTHING", (log,))
            tell(connection, log, self.teller, events)

    def next(self, base: Path | None = None, **options: Any) -> NextVersion:
        """The next version."""
        ways = {name: options.pop(name) for name in _WAYS & options.keys()}
        made = settings_from_options(name="unnamed", time_unit="s", **options)
        return from_events_in(self.url, base or self.base.folder, made, data_dir=self.folder / "data", **ways)


_WAYS = {
    "rehearsal", "past", "until", "until_place", "out", "dry_run", "memory_limit_bytes", "temp_dir", "workers", "force",
    "lineage", "progress",
}  # fmt: skip


def scene(url: str, folder: Path, rows: Sequence[Row], **options: Any) -> Scene:
    """A base of these rows."""
    name = f"log{next(_LOGS)}"
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in [("user", "item", "rating", "time"), *rows]:
        writer.writerow(["" if value is None else value for value in row])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.csv").write_text(text.getvalue().replace('""', ""), encoding="utf-8", newline="")
    made = transform(folder / "log.csv", folder / "base", TransformSettings(name=name, time_unit="s", **options))
    return Scene(url, folder, open_version(made.folder), uuid4())


def rows_of(version: Version, past: str = "test") -> list[Row]:
    """The version's events up to a split, with raw ids, read without any code of the product's pipeline."""
    users, items = (
        [None, *map(str, pq.read_table(version.folder / f"ids/{kind}.parquet").column("raw").to_pylist())]
        for kind in ("users", "items")
    )
    rows = []
    for split in SPLITS[: [*SPLITS].index(past) + 1]:  # type: ignore[arg-type]  # one of them
        for event in pq.read_table(version.folder / events_path(split)).to_pylist():
            user, item = users[event["user"]], items[event["item"]]
            assert user is not None
            assert item is not None
            rows.append(Row(user, item, event.get("rating"), event["timestamp"]))
    return rows


def expect(base: Version, past: str, told: Sequence[Row], shares: tuple[int, int] = (50, 75)) -> dict[str, Any]:
    """docs/format.md, section 10, as slow plain Python; splits by time after so many percent."""
    seen: set[Row] = set()
    kept = [row for row in [*rows_of(base, past), *told] if not (row in seen or seen.add(row))]  # type: ignore[func-returns-value]
    kept.sort(key=lambda row: row.time)  # stable
    users = [str(raw) for raw in base.raw_users.tolist()]
    items = [str(raw) for raw in base.raw_items.tolist()]
    for row in kept:
        users += [] if row.user in users else [row.user]
        items += [] if row.item in items else [row.item]
    cuts = []
    for share in shares:
        at = share * len(kept) // 100
        while 0 < at < len(kept) and kept[at - 1].time == kept[at].time:
            at += 1
        cuts.append(at)
    parts = [kept[: cuts[0]], kept[cuts[0] : cuts[1]], kept[cuts[1] :]]
    lines = {
        split: "".join(f"{users.index(row.user) + 1}\t{items.index(row.item) + 1}\n" for row in part)
        for split, part in zip(SPLITS, parts, strict=True)
    }
    warm_users, warm_items = ({getattr(row, name) for row in parts[0]} for name in ("user", "item"))
    return {
        "rows": kept,
        "users": users,
        "items": items,
        "text": lines,
        "cold": [
            (sum(row.user not in warm_users for row in part), sum(row.item not in warm_items for row in part))
            for part in parts
        ],
        "binned_cold": sum(row.user not in warm_users for row in kept),
    }


def check(found: NextVersion, expected: dict[str, Any]) -> None:
    """A version against what was expected."""
    assert found.folder is not None
    version = open_version(found.folder)
    assert [str(raw) for raw in version.raw_users.tolist()] == expected["users"]
    assert [str(raw) for raw in version.raw_items.tolist()] == expected["items"]
    assert rows_of(version) == expected["rows"]
    certificate = version.certificate
    assert certificate.users == len({row.user for row in expected["rows"]})
    assert certificate.items == len({row.item for row in expected["rows"]})
    assert sum(certificate.timeline.by_cold_users) == expected["binned_cold"]
    for split, cold in zip(SPLITS, expected["cold"], strict=True):
        text = expected["text"][split]
        assert (found.folder / text_path(version.name, split)).read_text() == text
        facts = getattr(certificate, split)
        assert (facts.rows, (facts.by_cold_users, facts.on_cold_items)) == (text.count("\n"), cold)
        of_user: dict[int, list[int]] = {}
        for line in text.splitlines():
            user, item = map(int, line.split("\t"))
            of_user.setdefault(user, []).append(item)
        sequences = version.sequences(split)
        assert sequences.users == len(expected["users"])
        assert {user: sequences.of(user).tolist() for user in of_user} == of_user
        assert sequences.items.size == facts.rows
    assert version.known_users[1:].tolist() == [
        user in {row.user for row in expected["rows"][: certificate.train.rows]} for user in expected["users"]
    ]
    assert (found.events, found.users, found.items) == (
        len(expected["rows"]), len(expected["users"]), len(expected["items"]),
    )  # fmt: skip


def histories(kind: str) -> st.SearchStrategy[list[Row]]:
    """Rows with few ids and few moments, so that there are ties and repeats."""
    ids = {
        "integer": st.one_of(st.integers(0, 6), st.sampled_from([-3, 2**40, -(2**63), 2**63 - 1])).map(str),
        "string": st.sampled_from(["a", "b", " c", "c ", "d,e", 'f"g', "007", "7", "ü", "h\ti"]),
    }[kind]
    rows = st.lists(st.builds(Row, ids, ids, st.sampled_from([None, 1.0, 4.5]), st.integers(0, 8)), max_size=12)
    # One that repeats no other, lest train be empty.
    return st.tuples(rows, ids, st.integers(0, 8)).map(
        lambda drawn: [*drawn[0], Row(drawn[1], drawn[1], 2.0, drawn[2])]
    )


@settings(max_examples=15)
@given(data=st.data())
def test_the_next_version_is_what_the_oracle_says(url: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["integer", "string"]))
    with tempfile.TemporaryDirectory() as name:
        options: dict[str, Any] = {"ids": kind, "fractions": ("0.6", "0.2", "0.2"), "max_reject_share": 0.0}
        first = Row("1", "1", 3.0, 0)
        here = scene(url, Path(name), [first, *data.draw(histories(kind))], **options)
        told, past = data.draw(histories(kind)), data.draw(st.sampled_from(SPLITS))
        here.tell(told)
        ways = {"past": past, "max_reject_share": 0.0}
        foreseen = here.next(**ways, dry_run=True)
        made = here.next(**ways, memory_limit_bytes=data.draw(st.sampled_from([10**6, 10**9])), workers=1)
        assert made.fresh
        check(made, expect(here.base, past, told))
        assert made.repeats == len(rows_of(here.base, past)) + len(told) - made.events
        assert foreseen == replace(made, folder=None, certificate=None)
        # The same bytes elsewhere, whatever the way; and nothing to do where it is.
        again = here.next(**ways, out=here.folder / "again", workers=2)
        assert made.folder is not None
        ours, theirs = contents(made.folder), contents(here.folder / "again")
        assert ours.keys() == theirs.keys()
        assert {path for path in ours if ours[path] != theirs[path]} <= {"run.json"}
        assert not here.next(**ways).fresh
        assert again.version == made.version
        # And on: what was told since, on the version just made.
        more = data.draw(histories(kind))
        here.tell(more)
        check(here.next(made.folder, max_reject_share=0.0), expect(open_version(made.folder), "test", more))


BASE = [Row(str(user), str(10 + item), 3.0, 100 * user + item) for user in range(1, 6) for item in range(4)]
"""Five users one after the other, four items each, the same four."""


@pytest.mark.parametrize("split", ["leave-one-out", "ratio", "random"])
def test_other_splits_keep_the_ids_too(url: str, tmp_path: Path, split: Any) -> None:
    here = scene(url, tmp_path, BASE)
    told = [Row("9", "13", None, 50), Row("1", "99", 2.0, 1000), Row("9", "98", None, 1001), Row("9", "99", None, 1002)]
    here.tell(told)
    made = here.next(past="eval", split=split)
    assert made.folder is not None
    version = open_version(made.folder)
    expected = expect(here.base, "eval", told)
    assert [str(raw) for raw in version.raw_users.tolist()] == [*"12345", "9"] == expected["users"]
    assert [str(raw) for raw in version.raw_items.tolist()] == expected["items"]
    assert sorted(rows_of(version)) == sorted(expected["rows"])
    assert version.certificate.split == split


def test_what_a_killed_call_left_goes(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    here.tell([Row("1", "20", None, 5000)])
    (tmp_path / "data" / ".told.partial-old").mkdir(parents=True)
    (tmp_path / "data" / ".told.partial-old" / "told.csv").write_text("user,item,time\n")
    assert here.next(past="test").folder is not None
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["versions"]


def test_ids_without_an_event_are_told_and_stay(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    here.tell([Row("1", "10", None, 9000), Row("1", "77", None, 9001)])
    made = here.next(past="train")  # half of the base: users 4 and 5 come later
    assert (made.users, made.new_users, made.items, made.new_items) == (5, 0, 5, 1)
    assert made.certificate is not None
    assert made.certificate.users == 3
    (warning,) = [line for line in made.certificate.warnings if here.base.id in line]
    assert "5 users and 4 items keep theirs" in warning
    assert "2 users and 0 items of the id maps have no event here" in warning
    assert made.folder is not None
    assert database.fill(url, made.folder).users == 5
    known = {raw: database.user(url, here.base.name, raw) for raw in "15"}
    assert [(found.id, found.first_seen, found.last_seen, found.events) for found in known.values() if found] == [
        (1, 100, 9001, 6),
        (5, None, None, 0),
    ]


def test_a_log_has_an_end_and_the_next_begins_there(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    here.tell([Row("1", str(item), None, 1000 + item) for item in range(20, 30)])
    with psycopg.connect(url) as connection:
        places = [
            place
            for (place,) in connection.execute(
                "SELECT place FROM told_events JOIN datasets d ON d.number = dataset WHERE name = %s ORDER BY place",
                (here.base.name,),
            )
        ]
    some = here.next(past="test", until_place=places[3])
    assert (some.told, some.place, some.events) == (4, places[3], 24)
    assert here.next(past="test", until=1024).version == some.version  # the fifth is of that moment
    assert some.folder is not None
    base = Manifest.read(some.folder).base
    assert base is not None
    assert (base.version, base.log, base.number) == (here.base.id, here.base.name, 3)
    rest = here.next(some.folder)
    assert (rest.past, rest.told, rest.events) == ("test", 6, 30)
    assert rest.folder is not None
    with pytest.raises(SourceNotFoundError, match=rf"no event was told after place {places[-1]:,}, up to which"):
        here.next(rest.folder)
    with pytest.raises(UsageError, match=r"--past train: version \w+ has events of log\d+ in all its splits"):
        here.next(some.folder, past="train")
    # A rehearsal of that version is another log, and says itself what had happened.
    here.tell([Row("1", "20", None, 5000)], rehearsal="mine")
    assert here.next(some.folder, rehearsal="mine").past == "train"


def test_splits_that_were_over_before_anything_was_told_are_not_left_out_in_silence(
    url: str, tmp_path: Path, listener: Listener
) -> None:
    here = scene(url, tmp_path, BASE)
    ends = {split: max(row.time for row in rows_of(here.base, split)) for split in SPLITS}
    counts = {split: len(rows_of(here.base, split)) for split in SPLITS}
    for name, first_s, past, over in (
        ("a", ends["train"] + 1, None, None),
        ("b", ends["eval"] + 1, None, "eval"),
        ("c", ends["test"] + 1, None, "test"),
        ("d", ends["test"] + 1, "train", None),  # who says so means it
    ):
        here.tell([Row("1", "20", None, first_s), Row("1", "21", None, first_s + 9)], rehearsal=name)
        listener.lines.clear()
        here.next(rehearsal=name, past=past, dry_run=True, progress=listener)
        warnings = [line for line in listener.lines if line.startswith("careful")]
        assert len(warnings) == (over is not None), name
        if over:
            assert f"the {counts[over] - counts['train']:,} events" in warnings[0]
            assert f"pass --past {over} if" in warnings[0]


def test_what_a_version_cannot_hold_is_rejected(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    odd = ["007", "+7", " 7", "seven", "-0", str(2**63), "7\n8,9,,1", ""]
    here.tell([Row(text, "10", None, 2000) for text in odd] + [Row("7", "10", 5.0, 2000)])
    with pytest.raises(
        TooManyRejectsError, match=r"log\d+: 8 of 9 rows cannot be read .*has integer users and integer"
    ):
        here.next(past="test")
    made = here.next(past="test", max_reject_share=0.9)
    assert made.folder is not None
    assert (made.told, made.rejected, made.new_users) == (9, 8, 1)
    assert open_version(made.folder).raw_users.tolist() == [1, 2, 3, 4, 5, 7]
    rejects = [*csv.reader((made.folder / "rejects.csv").read_text().splitlines())]
    assert [reason for _, reason, _ in rejects[1:]] == [
        *["user is not an integer"] * 5, "user is outside int64", "user is empty", "user is not an integer",
    ]  # fmt: skip


def test_a_base_of_texts_holds_what_looks_like_numbers(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, [Row("a", "x", None, 1), Row("b", "y", None, 2)])
    here.tell([Row("7", "007", None, 3), Row("two\nlines", "x", None, 4)])
    made = here.next(past="test", max_reject_share=0.5)
    assert made.folder is not None
    version = open_version(made.folder)
    assert (version.raw_users.tolist(), version.raw_items.tolist()) == (["a", "b", "7"], ["x", "y", "007"])
    assert made.rejected == 1


def test_ratings_are_there_where_somebody_gave_one(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path / "one", BASE)
    (tmp_path / "plain.csv").write_text("user,item,time\n1,2,3\n4,5,6\n")
    plain = transform(tmp_path / "plain.csv", tmp_path / "plain", TransformSettings(name=here.base.name)).folder
    here.tell([Row("1", "9", None, 7)])
    unrated = here.next(plain, past="test").folder
    here.tell([Row("1", "8", 2.5, 8)])
    rated = here.next(plain, past="test").folder
    assert unrated is not None
    assert rated is not None
    assert "rating" not in pq.read_schema(unrated / events_path("train")).names
    assert [row.rating for row in rows_of(open_version(rated))] == [None, None, None, 2.5]


def test_a_base_without_time_stays_one(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path / "one", BASE)
    (tmp_path / "plain.csv").write_text("user,item\n1,2\n4,5\n")
    plain = transform(tmp_path / "plain.csv", tmp_path / "plain", TransformSettings(name=here.base.name)).folder
    here.tell([Row("1", "9", None, 2)])
    made = here.next(plain, past="test")
    assert made.certificate is not None
    assert made.certificate.reading.time_unit == "row"


def test_the_lineage_leads_to_base_and_log(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    here.tell([Row("1", "20", None, 5000)])
    recorder = Recorder(tmp_path / "lineage")
    here.next(past="test", dry_run=True, lineage=recorder)
    assert recorder.path is not None
    assert not recorder.path.exists()
    made = here.next(past="test", lineage=recorder)
    assert made.folder is not None
    chain = trace(made.version, events=recorder.path)
    chain.verify()
    states = {link.kind: (link.state, link.what) for link in chain.links}
    assert states == {
        "source": ("ok", here.base.name),
        "base": ("ok", here.base.id),
        "archive": ("ok", "told.csv"),
        "version": ("ok", made.version),
    }
    (source,) = [link for link in chain.links if link.kind == "source"]
    assert source.where == f"told_events/{here.base.name}"
    manifest = here.base.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"size"', '"size" '))
    broken = trace(made.version, events=recorder.path, local=LocalFiles(made.folder))
    assert [link.kind for link in broken.links if link.state == "changed"] == ["base"]


def test_what_cannot_be_is_said_in_a_line(url: str, tmp_path: Path, postgres_service: PostgresServer) -> None:
    here = scene(url, tmp_path, BASE)
    with pytest.raises(SourceNotFoundError, match=r"^log\d+: no event was told .*serve a model"):
        here.next()
    here.tell([Row("1", "20", None, 5000)])
    with pytest.raises(SourceNotFoundError, match=r"^log\d+/mine: no event was told .*leave --rehearsal mine out"):
        here.next(rehearsal="mine")
    with pytest.raises(SourceNotFoundError, match="look at --until and --until-place"):
        here.next(until=4000)
    with pytest.raises(VersionNotFoundError, match="no complete version"):
        here.next(tmp_path / "nowhere")
    here.url = postgres_service.url()
    with pytest.raises(DatabaseError, match="has no tables of Matinee yet"):
        here.next()
    here.url = "postgresql://me:secret@127.0.0.1:1/matinee"
    with pytest.raises(DatabaseError, match=r"Postgres at 127\.0\.0\.1:1/matinee: .*") as caught:
        here.next()
    assert "secret" not in str(caught.value)
    with pytest.raises(SourceNotFoundError, match="has no Postgres, so nothing was ever told there"):
        matinee.data.from_events(here.base.folder, data_dir=tmp_path / "data")
    with pytest.raises(UsageError, match="--past noon"):
        matinee.data.from_events(here.base.folder, past="noon", data_dir=tmp_path / "data")  # type: ignore[arg-type]
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()], "nothing half-written stays"


def test_a_damaged_base_is_named(url: str, tmp_path: Path) -> None:
    here = scene(url, tmp_path, BASE)
    here.tell([Row("1", "20", None, 5000)])
    table = pq.read_table(here.base.folder / events_path("train"))
    pq.write_table(table.slice(1), here.base.folder / events_path("train"))
    with pytest.raises(VersionDamagedError, match=r"train\.parquet: 9 events, its manifest says 10"):
        here.next()
    (here.base.folder / events_path("train")).write_bytes(b"no")
    with pytest.raises(VersionDamagedError, match=r"train\.parquet: cannot be read"):
        here.next()
