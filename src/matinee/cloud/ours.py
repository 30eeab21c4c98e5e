"""Finding things by name: ours among others of the same name, and what the user may have meant where there is none."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol, TypeVar

from matinee.errors import CloudConflictError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["only", "pick"]


class _Named(Protocol):
    id: str
    name: str


Thing = TypeVar("Thing", bound=_Named)


def only(cloud: str, kind: str, name: str, ours: Sequence[Thing], others: Sequence[Thing], adopt: str) -> Thing | None:
    """The one that is ours; None where there is none and the name is free.

    Args:
        cloud: where.
        kind: 'server', ...
        name: as the user knows it.
        ours: those with the name and our tag.
        others: those with the name alone.
        adopt: the command line that makes another one ours; it gets the id appended.

    Raises:
        CloudConflictError: there are several of ours, or only somebody else's.
    """
    if len(ours) > 1:
        ids = ", ".join(thing.id for thing in ours)
        raise CloudConflictError(
            f"{cloud}: {len(ours)} {kind}s are named {name!r} and tagged as Matinee's ({ids}), expected one; look at "
            "both and delete what is too much, or set another name in [cloud]"
        )
    if not ours and others:
        raise CloudConflictError(
            f"{cloud}: a {kind} named {name!r} is there, but not tagged as Matinee's; set another name in [cloud], or "
            f"let Matinee take it over: {adopt} {others[0].id}"
        )
    return ours[0] if ours else None


def pick(cloud: str, kind: str, key: str, want: str, there: Iterable[Thing]) -> Thing:
    """The image, flavour or network that is meant by `want`, a name or an id.

    Raises:
        UsageError: there is none, or there are several of that name.
    """
    things = list(there)
    found = [thing for thing in things if want == thing.id] or [thing for thing in things if want == thing.name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(thing.id for thing in found)
        raise UsageError(f"{cloud}: {len(found)} {kind}s are named {want!r} ({ids}); give the id as [cloud] {key}")
    names = sorted({thing.name for thing in things if thing.name})
    near = difflib.get_close_matches(want, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(names) or 'none at all'}"
    raise UsageError(f"{cloud}: no {kind} {want!r} (key {key} in [cloud]); {hint}")
