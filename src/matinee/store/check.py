"""Prove that a store does what publishing needs: list, write, read, replace, delete; nothing is left behind."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import MatineeError, StoreCredentialError, StoreDeniedError, StoreError
from matinee.store.rclone import MissingError
from matinee.store.records import Checked, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.store.connection import Store

__all__ = ["check"]

_SIZE_BYTES: Final = 65_536
_PART_FIRST: Final = 1_000  # byte
_PART_BYTES: Final = 4_096
_PROBE: Final = "probe"
_LISTED_WITHIN_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0)  # Swift's listings may lag behind
_TAKEN: Final = "PreconditionFailed"  # how an S3 says that something lies there already


class _NotOfferedError(Exception):
    """The store does not have what was tried, which is no failure."""


def check(store: Store) -> Checked:
    """Try each right that Matinee needs in a store, on an object of its own, and take it away again.

    A bucket or container that was missing is made for it and removed again.

    Args:
        store: an open store.
    """
    return _Checker(store).run()


class _Checker:
    """One store under test; each method named after a step returns what was seen, or raises."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = f".matinee-check-{secrets.token_hex(4)}"
        self.path = f"{self.folder}/{_PROBE}"
        self.content = secrets.token_bytes(_SIZE_BYTES)
        self.steps: list[Step] = []
        self.kind = ""
        self.was_there = True
        self.error: MatineeError | None = None

    def run(self) -> Checked:
        try:
            self._run_all()
        except BaseException:  # Ctrl-C: what was written so far goes as well
            with contextlib.suppress(MatineeError):
                self._delete()
            raise
        failed = any(step.result == "failed" for step in self.steps)
        return Checked(self.store.show(), self.kind, tuple(self.steps), ok=not failed)

    def _run_all(self) -> None:
        self._try("reach", self._reach)
        # Whoever may not list may still write.
        is_reached = self.error is None or self._may_not(self.error)
        is_written = self._try("write", self._write, only_if=is_reached)
        self._try("list", self._list, only_if=is_written)
        self._try("read", self._read, only_if=is_written)
        self._try("read a part", self._read_part, only_if=is_written)
        self._try("replace", self._replace, only_if=is_written)
        self._try("write if new", self._write_if_new, only_if=is_written)
        self._try("delete", self._delete, only_if=is_written)

    def _try(self, name: str, work: Callable[[], str], *, only_if: bool = True) -> bool:
        if not only_if:
            self.steps.append(Step(name, "not tried", "needs what failed above"))
            return False
        try:
            step = Step(name, "ok", work())
        except _NotOfferedError as error:
            step = Step(name, "not offered", str(error))
        except MatineeError as error:
            step = Step(name, "failed", str(error))
            self.error = error
        self.steps.append(step)
        return step.result != "failed"

    def _may_not(self, error: MatineeError) -> bool:
        """Whether the store knows whom it refuses."""
        return isinstance(error, StoreDeniedError) and not isinstance(error, StoreCredentialError)

    def _reach(self) -> str:
        self.kind = self.store.backend.kind
        self.was_there = self.store.is_there()
        where = self.store.location.container
        return f"{self.kind} answers" + ("" if self.was_there else f"; {where} is not there, so it is made for this")

    def _write(self) -> str:
        where = self.store.location.container
        try:
            self.store.write(self.path, self.content)
        except MissingError as error:
            raise StoreError(f"{where}: is not there; make it, or name one that is ({error})") from None
        except StoreDeniedError as error:
            if self.error is not None or not self._may_not(error):
                raise
            if self.was_there:
                text = f"{where}: these keys may look, but not write; ask for the right to write there"
            else:
                text = f"{where}: is not there, and these keys may not make it; make it, or name one that is there"
            raise StoreDeniedError(f"{text} ({error})") from None
        return f"{_SIZE_BYTES} bytes"

    def _list(self) -> str:
        for pause_s in _LISTED_WITHIN_S:
            self.store.pause(pause_s)
            found = self.store.files(self.folder).get(_PROBE)
            if found is not None and found.size == _SIZE_BYTES:
                return "what was written is listed with its size"
        raise StoreError(
            f"{self.store.show(self.folder)}: what was written is not listed within {sum(_LISTED_WITHIN_S):.0f} s; "
            "check the right to list, or look after this store"
        )

    def _read(self) -> str:
        self._expect(self.store.read(self.path), self.content)
        return "the same bytes"

    def _read_part(self) -> str:
        part = self.store.read_part(self.path, _PART_FIRST, _PART_BYTES)
        self._expect(part, self.content[_PART_FIRST : _PART_FIRST + _PART_BYTES])
        return f"{_PART_BYTES} bytes from the middle of it"

    def _replace(self) -> str:
        self.content = self.content[::-1][: _SIZE_BYTES // 2]
        self.store.write(self.path, self.content)
        self._expect(self.store.read(self.path), self.content)
        return "the new bytes are read, none of the old"

    def _write_if_new(self) -> str:
        if self.store.location.folder is not None:
            raise _NotOfferedError("nor needed: publishers to a folder wait for each other")
        if self.kind != "S3":
            raise _NotOfferedError(f"rclone has no conditional write for {self.kind}; LATEST goes to who writes last")
        with _small_file(b"another") as (folder, name):
            try:
                self.store.send_new(folder, name, self.path)
            except StoreError as error:
                if _TAKEN in str(error):
                    return "refused where something lies already, as it should be"
                raise
        raise _NotOfferedError("the store ignores the condition (If-None-Match); LATEST goes to who writes last")

    def _delete(self) -> str:
        self.store.delete_file(self.path)
        if self.store.stat(self.path) is not None:
            raise StoreError(f"{self.store.show(self.path)}: is still there after it was deleted")
        self.store.delete_folder(self.folder)
        if self.was_there:
            return "nothing of it is left"
        self.store.remove_empty()
        return f"nothing of it is left, {self.store.location.container} neither"

    def _expect(self, found: bytes | None, expected: bytes) -> None:
        if found != expected:
            told = "nothing" if found is None else f"{len(found)} bytes"
            raise StoreError(
                f"{self.store.show(self.path)}: {told} read back that are not the {len(expected)} bytes written; "
                "do not rely on this store"
            )


@contextlib.contextmanager
def _small_file(content: bytes) -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        (Path(folder) / "content").write_bytes(content)
        yield Path(folder), "content"
