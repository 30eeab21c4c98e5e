"""`matinee promote`: a running server goes on with another model."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["promote"]


def promote(
    model: str,
    /,
    *,
    port: int | None = None,
    timeout_s: float = 120.0,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Let a running server go on with another model, without a refused request.

    Args:
        model: A folder, DATASET/MODEL, or models:/NAME@ALIAS; trained on the same ids.
        port: The server's; by default the only one that runs on the data folder.
        timeout_s: How long its workers may take.
        data_dir: The data folder whose server is meant; by default matinee-data.
        output: How to tell.
    """
    from matinee.serve.promotion import promote as change  # noqa: PLC0415 - loaded when it is called
    from matinee.train.find import find_model_folder  # noqa: PLC0415 - as above

    where = data_folder(data_dir)
    folder = find_model_folder(model, where, progress=output.progress(data_dir))
    promoted = change(folder, port=port, timeout_s=timeout_s, data_dir=where)
    output.line(f"{promoted.url} answers with {promoted.model} now.")
    output.facts({"before": promoted.before, "workers": promoted.workers})
    output.result(promoted)
