"""Artifacts and runs as OpenLineage events, there and back; the only module that knows the client's event classes.

`OpenLineageClient` itself is not used: it reads configuration from the environment and the home folder, and adds the
address of whatever git checkout it is started in. Its event classes, its serialiser and its HTTP transport are.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

import attr
from openlineage.client import event_v2 as openlineage
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_version_dataset,
    datasource_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
    storage_dataset,
)
from openlineage.client.serde import Serde

from matinee.lineage.journal import DIGEST, JOB_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from matinee.lineage.artifact import Artifact

__all__ = ["DigestDatasetFacet", "as_line", "run_event"]

# A custom facet must point at its schema. `matinee_digest.json` beside this module is that schema; a URN names it
# wherever it is stored, so that no event depends on a web server.
_DIGEST_SCHEMA = "urn:matinee:lineage:1-3-0:matinee_digest.json#/$defs/MatineeDigestDatasetFacet"


@attr.define
class DigestDatasetFacet(DatasetFacet):
    """The bytes behind a data set: what OpenLineage has no facet for, and what the chain is checked by."""

    kind: str
    name: str
    location: str
    sha256: str
    sourceSha256: str = ""  # noqa: N815 - OpenLineage's fields are written in camel case
    filesSha256: str = ""  # noqa: N815 - see above
    version: str = ""
    contents: dict[str, str] | None = None

    @staticmethod
    def _get_schema() -> str:
        return _DIGEST_SCHEMA


def run_event(
    state: str,
    run_id: str,
    job: str,
    moment: datetime,
    inputs: Sequence[Artifact],
    outputs: Sequence[Artifact],
    error: str | None = None,
) -> openlineage.RunEvent:
    """One event; `state` is 'START', 'COMPLETE' or 'FAIL', `error` a message without secrets."""
    matinee = installed_version("matinee")
    producer = f"urn:matinee:{matinee}"
    run_facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=matinee,
            name="Matinee",
            openlineageAdapterVersion=installed_version("openlineage-python"),
            producer=producer,
        )
    }
    if error is not None:
        run_facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=error, programmingLanguage="Python", producer=producer
        )
    job_facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="MATINEE", jobType="COMMAND", producer=producer
        )
    }
    return openlineage.RunEvent(
        eventType=openlineage.RunState[state],
        eventTime=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        run=openlineage.Run(runId=run_id, facets=run_facets),
        job=openlineage.Job(namespace=JOB_NAMESPACE, name=job, facets=job_facets),
        inputs=[_input(artifact, producer) for artifact in inputs],
        outputs=[_output(artifact, producer) for artifact in outputs],
        producer=producer,
    )


def as_line(event: openlineage.RunEvent) -> bytes:
    """The event as one line of JSON with its newline; line breaks inside texts are escaped by JSON itself."""
    return Serde.to_json(event).encode() + b"\n"


def _input(artifact: Artifact, producer: str) -> openlineage.InputDataset:
    return openlineage.InputDataset(
        namespace=artifact.namespace, name=artifact.path, facets=_dataset_facets(artifact, producer)
    )


def _output(artifact: Artifact, producer: str) -> openlineage.OutputDataset:
    statistics: dict[str, OutputDatasetFacet] = {
        "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=artifact.rows, size=artifact.size_bytes, fileCount=artifact.files, producer=producer
        )
    }
    return openlineage.OutputDataset(
        namespace=artifact.namespace,
        name=artifact.path,
        facets=_dataset_facets(artifact, producer),
        outputFacets=statistics,
    )


def _dataset_facets(artifact: Artifact, producer: str) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {
        DIGEST: DigestDatasetFacet(
            kind=artifact.kind,
            name=artifact.name,
            location=artifact.location,
            sha256=artifact.sha256,
            sourceSha256=artifact.source_sha256,
            filesSha256=artifact.files_sha256,
            version=artifact.version,
            contents=dict(artifact.contents) or None,
            producer=producer,
        ),
        "dataSource": datasource_dataset.DatasourceDatasetFacet(
            name=artifact.namespace, uri=artifact.uri, producer=producer
        ),
        # Of bytes that carry no version id, the hash is the version.
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=artifact.version or artifact.sha256, producer=producer
        ),
    }
    if artifact.kind in {"version", "published"}:
        layer = artifact.namespace.partition(":")[0]
        facets["storage"] = storage_dataset.StorageDatasetFacet(
            storageLayer=layer, fileFormat="parquet", producer=producer
        )
    if artifact.columns:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=_fields(artifact), producer=producer)
    return facets


def _fields(artifact: Artifact) -> list[schema_dataset.SchemaDatasetFacetFields]:
    field: Any = schema_dataset.SchemaDatasetFacetFields
    return [
        field(name=name, type=kind, ordinal_position=position)
        for position, (name, kind) in enumerate(artifact.columns, start=1)
    ]
