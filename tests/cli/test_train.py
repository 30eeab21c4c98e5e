"""`matinee train` as it is typed: where settings come from, what is printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from matinee.cli import main
from small_version import small_version


@pytest.fixture
def version(tmp_path: Path) -> str:
    rows = [(user, 1 + (user + step) % 9, 10**9 + 7 * user + 40 * step) for user in range(20) for step in range(6)]
    return str(small_version(tmp_path / "v", sorted(rows, key=lambda row: row[2])).folder)


@pytest.fixture
def _quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves PyTorch's exporter out, which takes seconds."""
    from types import SimpleNamespace

    from matinee.model.agreement import Agreement
    from matinee.train import export

    def write(_: object, __: object, path: Path) -> SimpleNamespace:
        path.touch()
        return SimpleNamespace(agreement=Agreement(0, 0.0, 0.0, 0))

    monkeypatch.setattr(export, "write_onnx", write)


@pytest.mark.usefixtures("_quick_export")
def test_what_is_typed_wins_over_the_environment_and_that_over_the_file(
    version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("matinee.toml").write_text(
        "[train]\nepochs = 1\nbatch_size = 4\nseed = 5\n"
        "[model.sse-pt]\nitem_dim = 4\nuser_dim = 4\nblocks = 1\nmaxlen = 3\n"
    )
    monkeypatch.setenv("MATINEE_TRAIN_BATCH_SIZE", "8")
    monkeypatch.setenv("MATINEE_TRAIN_SEED", "6")
    monkeypatch.setenv("MATINEE_MODEL_SSE_PT_MAXLEN", "4")
    assert main(["train", version, "--no-track", "--seed", "7", "--set", "negatives=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    words = told["words"]
    assert {name: words["training"][name] for name in ("epochs", "batch_size", "seed")} == {
        "epochs": 1, "batch_size": 8, "seed": 7,
    }  # fmt: skip
    assert {name: words["settings"][name] for name in ("item_dim", "maxlen", "negatives")} == {
        "item_dim": 4, "maxlen": 4, "negatives": 2,
    }  # fmt: skip
    assert told["fresh"]
    assert Path(told["folder"]).is_relative_to(Path("matinee-data").absolute())


def test_a_counted_model_passes_over_what_is_said_of_training(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("matinee.toml").write_text("[train]\nepochs = 1\n")
    assert main(["train", version, "--model", "markov", "--no-track"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("markov-")
    assert "trained on log" in out
    assert "matinee evaluate log/markov" in out
    assert "export" not in out
    assert main(["train", version, "--model", "markov", "--no-track"]) == 0
    assert "it was there already; nothing was trained." in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--data-dir", "my data"], ["--out", "my model"]])
def test_what_it_names_as_the_next_command_works(
    options: list[str], version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version lies outside of the data folder, and each call after the first finds the model there."""
    for _ in range(2):
        assert main(["train", version, "--model", "markov", "--no-track", *options]) == 0
        lines = [shlex.split(line, comments=True) for line in capsys.readouterr().out.splitlines()]
        (command,) = (words[1:] for words in lines if words[1:2] == ["evaluate"])
        assert main(command) == 0
        assert "markov" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_place_that_can_be_no_folder_is_said(out: str, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert main(["train", version, "--model", "markov", "--no-track", "--out", out]) == 1
    assert "no folder can be made there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("toml", "words", "message"),
    [
        ("[train]\nepoch = 1\n", [], r"[train] has no setting 'epoch', did you mean 'epochs'?"),
        ("[train]\nepochs = 'many'\n", [], "epochs = 'many': expected a whole number"),
        ("[model.sse]\nblocks = 1\n", [], "[model.sse]: unknown model; known are sse-pt"),
        ("[model.markov]\nblocks = 1\n", ["--model", "markov"], "model markov has no setting 'blocks'"),
        ("", ["--model", "bert"], "model 'bert' is unknown"),
        ("", ["--set", "metric=ndcg@5"], "metric = 'ndcg@5': expected one of hr@10, ndcg@10, mrr@10"),
        ("", ["--set", "blocks"], "--set blocks: expected NAME=VALUE"),
        ("", ["--epochs", "many"], "--epochs"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    toml: str, words: list[str], message: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("matinee.toml").write_text(toml)
    assert main(["train", version, "--no-track", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert told.err.startswith("matinee: ")
    assert told.err.count("\n") == 1
