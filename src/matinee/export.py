"""Export: a trained model or a version leaves Matinee in the form that other programs read; the format says which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args, overload

from matinee.errors import ModelNotFoundError, UsageError
from matinee.schema.layout import MANIFEST, VERSIONS

if TYPE_CHECKING:
    from matinee.etl.export_version import ExportedVersion
    from matinee.schema.progress import Progress
    from matinee.train.export import Exported

__all__ = ["Format", "ModelFormat", "VersionFormat", "export"]

ModelFormat = Literal["onnx", "pth", "safetensors"]
VersionFormat = Literal["recbole", "sasrec", "hf"]
Format = Literal[ModelFormat, VersionFormat]


@overload
def export(
    what: str | Path,
    *,
    format: ModelFormat = ...,
    out: str | Path | None = ...,
    data_dir: str | Path = ...,
    progress: Progress | None = ...,
) -> Exported: ...


@overload
def export(
    what: str | Path,
    *,
    format: VersionFormat,
    out: str | Path | None = ...,
    data_dir: str | Path = ...,
    progress: Progress | None = ...,
) -> ExportedVersion: ...


def export(
    what: str | Path,
    *,
    format: Format = "onnx",  # noqa: A002 - the option's name
    out: str | Path | None = None,
    data_dir: str | Path = "matinee-data",
    progress: Progress | None = None,
) -> Exported | ExportedVersion:
    """Write a trained model as one file for other programs, or a version as the files that other trainers read.

    Args:
        what: for 'onnx' and 'pth' a model: a folder, <dataset>/<model> or models:/NAME@ALIAS; for 'safetensors' a .pth
            file; for 'recbole', 'sasrec' and 'hf' a version: a folder, a data set's name, an id or name@id.
        format: 'onnx'; 'pth', a state dict with a .json beside it; 'safetensors', from such a pair to a model's folder;
            'recbole', atomic files; 'sasrec', the text of the SASRec family; 'hf', Parquet and a card for `datasets`.
        out: a model's file, else a folder; by default beside the model, or below exports in the data folder.
        data_dir: whose models and versions are meant.
        progress: told of a version's way out.

    Raises:
        UsageError: the format is none, or not for this; a counted model; a version that has no histories for 'sasrec'.
        ModelNotFoundError, ModelDamagedError, ModelError: see `matinee.train.export.export`.
        VersionNotFoundError, VersionDamagedError: there is no such version, or it is not what its manifest says.
        VersionConflictError: `out` is taken by something else.
        DiskFullError: no space left.
    """
    if format in get_args(VersionFormat):
        from matinee.etl.export_version import export_version  # noqa: PLC0415 - whoever exports a model needs none

        if _is_model(what, data_dir):
            raise UsageError(f"{what}: a model, and --format {format} writes a version; expected {_list(ModelFormat)}")
        return export_version(what, cast("VersionFormat", format), out, data_dir, progress)
    if format not in get_args(ModelFormat):
        raise UsageError(
            f"--format {format!r}: expected {_list(ModelFormat)} for a model, {_list(VersionFormat)} for a version"
        )
    if (Path(what) / MANIFEST).is_file() or ("/" not in str(what) and (Path(data_dir) / VERSIONS / what).is_dir()):
        raise UsageError(f"{what}: a version, and --format {format} writes a model; expected {_list(VersionFormat)}")
    from matinee.train.export import export as export_model  # noqa: PLC0415 - brings the models

    return export_model(what, format=cast("ModelFormat", format), out=out, data_dir=data_dir)


def _is_model(what: str | Path, data_dir: str | Path) -> bool:
    if str(what).startswith("models:/") or str(what).endswith(".pth"):
        return True
    from matinee.train.find import find_model_folder  # noqa: PLC0415 - see export

    try:
        find_model_folder(what, data_dir)
    except ModelNotFoundError:
        return False
    return True


def _list(formats: object) -> str:
    *names, last = get_args(formats)
    return f"{', '.join(names)} or {last}"
