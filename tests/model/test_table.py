from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from matinee.errors import UsageError
from matinee.model.options import settings_from
from matinee.model.recommender import CountedRecommender, Recommender
from matinee.model.table import MODELS, ModelEntry, find_model


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_an_entry_leads_to_a_model_and_its_settings(entry: ModelEntry) -> None:
    kind, settings = entry.load()
    assert find_model(entry.name) is entry
    assert issubclass(kind, Recommender)
    assert issubclass(kind, CountedRecommender) != entry.neural
    assert is_dataclass(settings)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^model 'sse_pt' is unknown; known are sse-pt, sasrec, popularity"):
        find_model("sse_pt")


def test_counted_models_need_no_torch() -> None:
    program = (
        "import sys\n"
        "from matinee.model.table import MODELS\n"
        "loaded = [entry.load() for entry in MODELS.values() if not entry.neural]\n"
        "assert len(loaded) == 4\n"
        "print([name for name in ('torch', 'scipy', 'implicit', 'pyarrow', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_page_of_models_has_all_of_them_with_every_setting_and_its_default() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "models.md").read_text()
    opening, _, rest = page.partition("\n## ")
    assert [row[0] for row in _rows(opening)] == [*MODELS]
    networks, _, counted = rest.partition("\n## Settings\n")[2].partition("\n### Of the counted models\n")
    told: dict[str, dict[str, str]] = {name: {} for name in MODELS}
    for setting, of_sse_pt, of_sasrec, _ in _rows(networks):
        told["sse-pt"][setting] = of_sse_pt
        told["sasrec"][setting] = of_sasrec
    for model, setting, default, _ in _rows(counted.partition("\n\n`popularity` has none")[0]):
        told[model][setting] = default
    for entry in MODELS.values():
        said = {name: text for name, text in told[entry.name].items() if text != "-"}
        _, kind = entry.load()
        assert {*said} == {field.name for field in fields(kind)}
        assert settings_from(entry, said) == kind()


def _rows(text: str) -> list[list[str]]:
    """The rows of Markdown tables that begin with a word in backticks."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in row] for row in rows]
