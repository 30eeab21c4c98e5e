from __future__ import annotations

from pathlib import Path

import pytest

from matinee.errors import UsageError
from matinee.settings import CloudSettings, Settings, read_settings


def test_without_file_and_variables_everything_is_the_default(tmp_path: Path) -> None:
    assert read_settings({}, tmp_path) == Settings()
    assert Settings().archives == Path("matinee-data/archives")


def test_later_wins(tmp_path: Path) -> None:
    (tmp_path / "matinee.toml").write_text('data_dir = "from-file"\nstore = "/srv/file"\nmemory_limit = "1GB"\n')
    settings = read_settings({"MATINEE_STORE": "/srv/environment", "MATINEE_ENDPOINT": ""}, tmp_path)
    assert settings.data_dir == Path("from-file")
    assert settings.store == "/srv/environment"
    assert settings.endpoint is None
    assert settings.memory_limit_bytes == 10**9


def test_the_file_may_lie_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('cache = "~/archives"\nmemory_limit = 5000000\n')
    settings = read_settings({"MATINEE_CONFIG": str(path)}, tmp_path)
    assert settings.archives == Path.home() / "archives"
    assert settings.memory_limit_bytes == 5_000_000


def test_the_collector_has_the_name_that_every_client_uses(tmp_path: Path) -> None:
    assert read_settings({"OPENLINEAGE_URL": "http://localhost:5000"}, tmp_path).openlineage_url
    with pytest.raises(UsageError, match="MATINEE_OPENLINEAGE_URL"):
        read_settings({"MATINEE_OPENLINEAGE_URL": "http://localhost:5000"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data_dri = "x"', r"unknown key 'data_dri', did you mean 'data_dir'\?"),
        ('colour = "blue"', r"unknown key 'colour'; known are data_dir, cache, memory_limit"),
        ("store = 3", r"store = 3: expected a text in quotes"),
        ("data_dir = ", r"not TOML"),
        ('memory_limit = "much"', r"memory_limit 'much': expected a size like 1GB"),
        ("memory_limit = true", r"memory_limit = True: expected a text"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "matinee.toml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_settings({}, tmp_path)
    assert str(tmp_path / "matinee.toml") in str(caught.value)


def test_a_mistake_in_a_variable_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"MATINEE_STROE: unknown setting, did you mean 'store'\?"):
        read_settings({"MATINEE_STROE": "x"}, Path())


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"MATINEE_CONFIG=.*nowhere.toml: no such file"):
        read_settings({"MATINEE_CONFIG": str(tmp_path / "nowhere.toml")}, tmp_path)


def test_the_table_of_the_cloud(tmp_path: Path) -> None:
    (tmp_path / "matinee.toml").write_text(
        'store = "/srv"\n[cloud]\nname = "mine"\nvolume_size_gb = 7\npublic_key = "~/k"'
    )
    settings = read_settings({"MATINEE_CLOUD_VOLUME_SIZE_GB": "8", "MATINEE_CLOUD_OBJECT_CLOUD": "chi"}, tmp_path)
    assert settings.store == "/srv"
    assert settings.cloud == CloudSettings(
        name="mine", volume_size_gb=8, public_key=Path.home() / "k", object_cloud="chi"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('cloud = "kvm"', r"cloud = 'kvm': expected a table, \[cloud\]"),
        ('[cloud]\nnmae = "x"', r"unknown key 'cloud.nmae', did you mean 'cloud.name'\?"),
        ('[clout]\nname = "x"', r"unknown key 'clout'; known are .*cloud.cloud"),
        ("[cloud]\nvolume_size_gb = 0", r"cloud.volume_size_gb = '0': expected a whole number above 0"),
        ("[cloud]\nvolume_size_gb = 1.5", r"cloud.volume_size_gb = 1.5: expected a text"),
        ("[cloud]\nname = 3", r"cloud.name = 3: expected a text in quotes"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "matinee.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings({}, tmp_path)


def test_a_mistake_in_a_variable_of_the_table_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"MATINEE_CLOUD_IMGAE: unknown setting, did you mean 'cloud.image'\?"):
        read_settings({"MATINEE_CLOUD_IMGAE": "x"}, Path())


def test_the_tables_of_training_are_handed_on_as_they_were_said(tmp_path: Path) -> None:
    (tmp_path / "matinee.toml").write_text(
        'store = "/srv"\n[train]\nepochs = 7\n[model.sse-pt]\ndropout = 0.5\nstrangers = "unk"\n[model.markov]\n'
    )
    settings = read_settings({"MATINEE_TRAIN_BATCH_SIZE": "64", "MATINEE_MODEL_SSE_PT_DROPOUT": "0.3"}, tmp_path)
    assert settings.store == "/srv"
    assert settings.train == {"epochs": 7, "batch_size": "64"}
    known = ("sse-pt", "markov")
    assert settings.of_model("sse-pt", known) == {"dropout": "0.3", "strangers": "unk"}
    assert settings.of_model("markov", known) == {}


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("train = 3", {}, r"train = 3: expected a table, \[train\]"),
        ("[model]\nsse-pt = 3", {}, r"model.sse-pt = 3: expected a table, \[model.sse-pt\]"),
        ("[model.sse]\nx = 3", {}, r"\[model.sse\]: unknown model; known are sse-pt, sse-pt-x"),
        (
            "",
            {"MATINEE_MODEL_MARKOV_X": "1"},
            r"MATINEE_MODEL_MARKOV_X: unknown model; .* MATINEE_MODEL_SSE_PT_X_; unset",
        ),
    ],
)
def test_a_mistake_about_a_model_is_named(tmp_path: Path, text: str, environment: dict[str, str], message: str) -> None:
    (tmp_path / "matinee.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings(environment, tmp_path).of_model("sse-pt", ("sse-pt", "sse-pt-x"))


def test_a_models_name_may_begin_anothers() -> None:
    settings = read_settings({"MATINEE_MODEL_SSE_PT_X_DROPOUT": "0.3", "MATINEE_MODEL_SSE_PT_DROPOUT": "0.1"}, Path())
    assert settings.of_model("sse-pt", ("sse-pt", "sse-pt-x")) == {"dropout": "0.1"}
    assert settings.of_model("sse-pt-x", ("sse-pt", "sse-pt-x")) == {"dropout": "0.3"}
