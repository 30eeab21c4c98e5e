"""`matinee export`: a trained model for other programs."""

from pathlib import Path
from typing import Literal

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["export"]


def export(
    model: str,
    /,
    *,
    format: Literal["onnx", "pth", "safetensors"] = "onnx",  # noqa: A002 - the option's name
    out: Path | None = None,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Write a trained model as one file for other programs, and compare it with the original.

    Args:
        model: A model's folder, <dataset>/<model>, or models:/NAME@ALIAS; with --format safetensors a .pth file.
        format: onnx; pth, a state dict with a .json beside it; safetensors, a model's folder from such a pair.
        out: The file, or for safetensors the folder; by default model.onnx or model.pth in the model's folder, and a
            folder named like the .pth file.
        data_dir: The data folder whose models are meant; by default matinee-data.
        output: How to tell.
    """
    from matinee.train.export import export as write  # noqa: PLC0415 - a command's rooms are loaded when it is called

    exported = write(model, format=format, out=out, data_dir=data_folder(data_dir))
    agreement = exported.agreement
    output.line(f"{exported.model} as {exported.format} in {exported.path}")
    output.facts(
        {
            "size": f"{exported.size_bytes:,} bytes",
            "largest difference": f"{agreement.difference:.2g} between scores up to {agreement.scale:.3g}",
            "same top 10": f"{agreement.same_lists:,} of {agreement.histories:,} random histories",
            "one person": f"{exported.exported_ms:.2f} ms, {exported.original_ms:.2f} ms before",
        }
    )
    output.result(exported)
