from __future__ import annotations

import subprocess
import sys
from dataclasses import is_dataclass

import pytest

from matinee.errors import UsageError
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
