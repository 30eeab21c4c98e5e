"""Tells OpenLineage what each stage does: to a file beside the data, and to a collector where there is one."""

from __future__ import annotations

import logging
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from matinee.errors import MatineeError
from matinee.lineage.collector import Collector
from matinee.lineage.journal import EVENTS, append
from matinee.lineage.redact import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from matinee.lineage.artifact import Artifact

__all__ = ["Recorder", "Run"]

_LOG = logging.getLogger(__name__)


class Run:
    """One run of a stage, while it lasts."""

    def __init__(self, job: str, inputs: Sequence[Artifact], outputs: Sequence[Artifact]) -> None:
        self.id = str(uuid.uuid4())
        self.job = job
        self._inputs = list(inputs)
        self._outputs = list(outputs)

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """What the stage reads, as far as it is known by now."""
        return tuple(self._inputs)

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """What the stage made, as far as it is known by now."""
        return tuple(self._outputs)

    def add_input(self, artifact: Artifact) -> None:
        """The stage also reads this; the same artifact twice counts once."""
        if artifact not in self._inputs:
            self._inputs.append(artifact)

    def add_output(self, artifact: Artifact) -> None:
        """The stage made this; the same artifact twice counts once."""
        if artifact not in self._outputs:
            self._outputs.append(artifact)


class Recorder:
    """Emits one START and one COMPLETE or FAIL event for each stage.

    Args:
        folder: events are appended to `folder/events.jsonl`; None keeps none on this machine.
        url: an OpenLineage collector that is told as well. One that does not answer within two seconds costs one
            warning and is left alone for the rest of this recorder's life; no stage waits or breaks because of it.
        api_key: sent to the collector as bearer token; never written down.
        secrets: texts that must not appear in any event, whatever an error message says.
        warn: told in one line what could not be recorded; the log by default.
    """

    def __init__(
        self,
        folder: Path | None,
        url: str | None = None,
        *,
        api_key: str | None = None,
        secrets: Sequence[str] = (),
        warn: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self.path = folder / EVENTS if folder is not None else None
        self._warn = warn
        self._collector = Collector(url, api_key, warn) if url else None
        self._secrets = (*secrets, *((api_key,) if api_key else ()))

    @contextmanager
    def stage(self, job: str, inputs: Sequence[Artifact] = (), outputs: Sequence[Artifact] = ()) -> Iterator[Run]:
        """Record the stage that runs inside the `with` block; its exceptions pass through unchanged.

        Raises:
            DiskFullError: no space left for the event.
            LineageError: the folder cannot be written.
        """
        run = Run(job, inputs, outputs)
        self._emit("START", run, None)
        try:
            yield run
        except BaseException as error:
            self._emit_failure(run, error)
            raise
        self._emit("COMPLETE", run, None)

    def _emit_failure(self, run: Run, error: BaseException) -> None:
        message = scrub(f"{type(error).__name__}: {error}", self._secrets)
        try:
            self._emit("FAIL", run, message)
        except MatineeError as second:
            # The stage's own error is what the user must see; that the record is incomplete comes second.
            self._warn(f"the failure of '{run.job}' is not recorded: {second}")

    def _emit(self, state: str, run: Run, error: str | None) -> None:
        if self.path is None and self._collector is None:
            return
        # Imported when the first event is made: the client costs half a second.
        from matinee.lineage import events  # noqa: PLC0415 - see above

        event = events.run_event(state, run.id, run.job, datetime.now(UTC), run.inputs, run.outputs, error)
        if self.path is not None:
            append(self.path, events.as_line(event))
        if self._collector is not None:
            self._collector.send(event)
