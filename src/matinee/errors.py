"""Every error a user can cause, in one tree; each message says what, where, expected against found, what next.

MatineeError
├── UsageError                  the call itself is wrong (exit code 2)
├── SourceError                 the log, or the archive it lies in
│   ├── SourceNotFoundError     no such catalogue name, path, URL or member
│   ├── SourceDownloadError     no mirror answered, or the transfer broke off for good
│   ├── SourceChecksumError     the bytes are not the published ones
│   ├── SourceArchiveError      hostile, damaged or ambiguous archive
│   └── SourceFormatError       the text is not a log that can be read
│       └── TooManyRejectsError more unreadable rows than allowed
├── VersionError                a version, here or in a store
│   ├── VersionNotFoundError    no such version, or none published yet
│   ├── VersionDamagedError     a file is missing or differs from the manifest
│   └── VersionConflictError    the place is taken by something else
├── ModelError                  a trained model, here or in the registry
│   ├── ModelNotFoundError      no such model
│   ├── ModelDamagedError       a file is missing, or is not what a model is made of
│   ├── ModelConflictError      the folder is taken by another model, or by a training at work
│   └── ModelMismatchError      the model and the data do not belong together: another id map
├── StoreError                  the object store, or the transfer tool in front of it
│   ├── StoreUnreachableError   it does not answer
│   └── StoreDeniedError        it answers, and says no
│       └── StoreCredentialError    it does not take the key, secret or token
├── CloudError                  the OpenStack cloud, or what was asked of it
│   ├── CloudUnreachableError   it does not answer, or broke off
│   ├── CloudDeniedError        it answers, and says no: the credential, a right, a quota
│   └── CloudConflictError      what is there is somebody else's, or there twice
├── DiskFullError               no space left, with the place and what was needed
├── SparkError                  a Spark cluster does not answer, has no workers, or a job on it failed
├── ServiceError                a service of the stack does not start or stay up
├── BackupError                 a backup is damaged or none of ours, or does not come back as it was
├── DatabaseError               Postgres does not answer or refuses, or its tables are of a newer Matinee
├── TrackingError               MLflow does not answer, or refuses
├── ReplayError                 a replay cannot begin or go on: its folder, or what a server makes of it
└── LineageError                the chain has a gap or a changed byte
"""

from __future__ import annotations

__all__ = [
    "BackupError",
    "CloudConflictError",
    "CloudDeniedError",
    "CloudError",
    "CloudUnreachableError",
    "DatabaseError",
    "DiskFullError",
    "LineageError",
    "MatineeError",
    "ModelConflictError",
    "ModelDamagedError",
    "ModelError",
    "ModelMismatchError",
    "ModelNotFoundError",
    "ReplayError",
    "ServiceError",
    "SourceArchiveError",
    "SourceChecksumError",
    "SourceDownloadError",
    "SourceError",
    "SourceFormatError",
    "SourceNotFoundError",
    "SparkError",
    "StoreCredentialError",
    "StoreDeniedError",
    "StoreError",
    "StoreUnreachableError",
    "TooManyRejectsError",
    "TrackingError",
    "UsageError",
    "VersionConflictError",
    "VersionDamagedError",
    "VersionError",
    "VersionNotFoundError",
]


class MatineeError(Exception):
    """Whatever Matinee tells a user in one line; the CLI ends with `exit_code`."""

    exit_code = 1


class UsageError(MatineeError):
    """The call itself is wrong: an unknown option value, arguments that exclude each other."""

    exit_code = 2


class SourceError(MatineeError):
    """Something about the log, or the archive it lies in."""


class SourceNotFoundError(SourceError):
    """No such catalogue name, path, URL or member."""


class SourceDownloadError(SourceError):
    """No mirror answered, or the transfer broke off for good."""


class SourceChecksumError(SourceError):
    """The bytes are not the published ones."""


class SourceArchiveError(SourceError):
    """A hostile, damaged or ambiguous archive."""


class SourceFormatError(SourceError):
    """The text is not a log that can be read."""


class TooManyRejectsError(SourceFormatError):
    """More unreadable rows than the allowed share."""


class VersionError(MatineeError):
    """Something about a version, on this machine or in a store."""


class VersionNotFoundError(VersionError):
    """No such version, or none published yet."""


class VersionDamagedError(VersionError):
    """A file is missing or differs from the manifest."""


class VersionConflictError(VersionError):
    """The place is taken by something else."""


class ModelError(MatineeError):
    """Something about a trained model, on this machine or in the registry."""


class ModelNotFoundError(ModelError):
    """No such model."""


class ModelDamagedError(ModelError):
    """A file is missing, or is not what a model is made of."""


class ModelConflictError(ModelError):
    """The folder is taken by another model, or by a training at work."""


class ModelMismatchError(ModelError):
    """The model and the data do not belong together: another id map."""


class StoreError(MatineeError):
    """Something about the object store, or the transfer tool in front of it."""


class StoreUnreachableError(StoreError):
    """The store does not answer."""


class StoreDeniedError(StoreError):
    """The store answers, and says no."""


class CloudError(MatineeError):
    """Something about the OpenStack cloud, or what was asked of it."""


class CloudUnreachableError(CloudError):
    """The cloud does not answer, or broke off."""


class CloudDeniedError(CloudError):
    """The cloud answers, and says no."""


class CloudConflictError(CloudError):
    """What is there is somebody else's, or there twice."""


class StoreCredentialError(StoreDeniedError):
    """The store does not take the key, secret or token."""


class DiskFullError(MatineeError):
    """No space left on a device; nothing half-written stays visible."""


class SparkError(MatineeError):
    """A Spark cluster does not answer, has no workers, or a job on it failed."""


class ServiceError(MatineeError):
    """A service of the stack does not start or stay up."""


class BackupError(MatineeError):
    """A backup is damaged or none of ours, or does not come back as it was."""


class DatabaseError(MatineeError):
    """Postgres does not answer or refuses, or its tables are of a newer Matinee."""


class TrackingError(MatineeError):
    """MLflow does not answer, or refuses."""


class ReplayError(MatineeError):
    """A replay cannot begin or go on: its folder, or what a server makes of it."""


class LineageError(MatineeError):
    """The chain from source to result has a gap or a changed byte."""
