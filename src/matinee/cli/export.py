"""`matinee export`: a trained model for other programs, or a version for other trainers."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder
from matinee.export import Format
from matinee.export import export as write
from matinee.sizes import show_size

if TYPE_CHECKING:
    from matinee.etl.export_version import ExportedVersion
    from matinee.train.export import Exported

__all__ = ["export"]


def export(
    what: str,
    /,
    *,
    format: Format = "onnx",  # noqa: A002 - the option's name
    out: Path | None = None,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Write a trained model as one file for other programs, or a version as the files that other trainers read.

    Args:
        what: A model, for onnx and pth: a folder, <dataset>/<model>, or models:/NAME@ALIAS; for safetensors a .pth
            file. A version, for recbole, sasrec and hf: a folder, a data set's name, an id or name@id.
        format: onnx; pth, a state dict with a .json beside it; safetensors, a model's folder from such a pair; recbole,
            atomic files with Matinee's splits; sasrec, the text of the SASRec family; hf, Parquet for datasets.
        out: The file, or for safetensors and a version the folder; by default beside the model, or below exports in the
            data folder.
        data_dir: The data folder whose models and versions are meant; by default matinee-data.
        output: How to tell.
    """
    exported = write(what, format=format, out=out, data_dir=data_folder(data_dir), progress=output.progress(data_dir))
    from matinee.etl.export_version import ExportedVersion  # noqa: PLC0415 - see `matinee.export`

    if isinstance(exported, ExportedVersion):
        output.line(f"{exported.dataset} {exported.version} as {exported.format} in {exported.path}")
        output.facts(_version_facts(exported))
    else:
        output.line(f"{exported.model} as {exported.format} in {exported.path}")
        output.facts(_model_facts(exported))
    output.result(exported)


def _model_facts(exported: "Exported") -> dict[str, object]:
    agreement = exported.agreement
    return {
        "size": f"{exported.size_bytes:,} bytes",
        "largest difference": f"{agreement.difference:.2g} between scores up to {agreement.scale:.3g}",
        "same top 10": f"{agreement.same_lists:,} of {agreement.histories:,} random histories",
        "one person": f"{exported.exported_ms:.2f} ms, {exported.original_ms:.2f} ms before",
    }


def _version_facts(exported: "ExportedVersion") -> dict[str, object]:
    files: dict[str, object] = {file.path: _rows(file.rows, file.size_bytes) for file in exported.files}
    return files | ({"unchanged": "it was there already"} if exported.unchanged else {})


def _rows(rows: int | None, size_bytes: int) -> str:
    return show_size(size_bytes) if rows is None else f"{rows:,} rows, {show_size(size_bytes)}"
