"""The compose files: what the specification says, and what we say: nothing open, nothing default, nothing unpinned."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from compose_file import FOLDER, interpolate, load, variables
from matinee.cli.app import build_app

FILES = ("docker-compose-etl.yaml", "docker-compose-block.yaml")
NAMED = {"HOME": "/home/someone", "RCLONE_CONTAINER": "object-persist-me"}
ON_BLOCK = {**NAMED, "BLOCK": "/mnt/block", "SECRETS": "/mnt/secrets", "CONTAINER_USER": "1234:1234"}
EVERY = [(file, environment) for file in FILES for environment in (NAMED, ON_BLOCK)]
SERVICES = [
    pytest.param(service, id=f"{name}-{'block' if 'BLOCK' in environment else 'named'}")
    for file, environment in EVERY
    for name, service in load(file, environment)["services"].items()
]


@pytest.mark.parametrize(("file", "environment"), EVERY)
def test_it_is_what_the_specification_says(file: str, environment: dict[str, str]) -> None:
    compose = PyCompose.from_yaml(yaml.safe_dump(load(file, environment)))
    compose.validate()  # every volume, network, config and secret that is used is there


def test_the_specification_is_really_held_against_it() -> None:
    plain = load(FILES[0], NAMED)
    plain["services"]["extract-data"]["restrat"] = "no"
    with pytest.raises(ValueError, match="restrat"):
        PyCompose.from_yaml(yaml.safe_dump(plain))


def test_the_services_are_those_that_people_know() -> None:
    assert [*load(FILES[0], NAMED)["services"]] == ["extract-data", "transform-data", "load-data"]
    assert [*load(FILES[1], NAMED)["services"]] == ["postgres", "s3", "mlflow", "jupyter"]


@pytest.mark.parametrize("environment", [NAMED, {**NAMED, "ETL_SOURCE": "ml-1m", "ETL_NAME": "films"}])
def test_every_command_is_one_that_the_program_has(environment: dict[str, str]) -> None:
    for name, service in load(FILES[0], environment)["services"].items():
        first, *words = service["command"]
        assert (first, words[0]) == ("matinee", name.removesuffix("-data"))
        build_app().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_little(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert "privileged" not in service
    assert "cap_add" not in service
    uid, _, gid = service["user"].partition(":")
    assert int(uid) > 0
    assert int(gid) > 0


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_pinned(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z-]+:[0-9]+(\.[0-9]+)+(-[a-z]+)?", service["image"])


def test_our_images_carry_our_version_and_exist_in_the_dockerfile() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    version = re.search(r'^version = "(.*)"', (FOLDER.parent / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f'image.version="{version[1]}"' in dockerfile
    built = [service for file in FILES for service in load(file, NAMED)["services"].values() if "build" in service]
    assert len(built) == 6
    for service in built:
        target = service["build"]["target"]
        assert service["image"] == f"matinee-{target}:{version[1]}"
        assert f" AS {target}\n" in dockerfile
        assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(FOLDER / "Dockerfile")


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_is_open_to_this_machine_alone(service: dict[str, Any]) -> None:
    assert service.get("network_mode") in {None, "none"}
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:[0-9]+:[0-9]+", port), port


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_tells_its_health_or_ends_by_itself(service: dict[str, Any]) -> None:
    if service["restart"] == "no":
        assert "healthcheck" not in service
        return
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


def test_who_stands_on_another_waits_until_it_is_well_or_done() -> None:
    for file in FILES:
        services = load(file, NAMED)["services"]
        for service in services.values():
            for name, how in service.get("depends_on", {}).items():
                ends = services[name]["restart"] == "no"
                assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


@pytest.mark.parametrize(("file", "environment"), EVERY)
def test_every_secret_is_a_file_and_no_password_is_written_down(file: str, environment: dict[str, str]) -> None:
    plain = load(file, environment)
    assert all([*secret] == ["file"] for secret in plain["secrets"].values())
    used = {name for service in plain["services"].values() for name in service.get("secrets", [])}
    assert used == set(plain["secrets"])
    for service in plain["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASS|SECRET|TOKEN|KEY|CREDENTIALS", name):
                assert value.startswith("/run/secrets/"), name
                assert value.removeprefix("/run/secrets/") in service["secrets"]
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{name}: a password in an address"
        told = " ".join(service.get("command", []))
        for path in re.findall(r"/run/secrets/(\w+)", told):
            assert path in service["secrets"]
        assert not re.search(r"(password|secret|token|key)=(?!/run/secrets/)", told, re.IGNORECASE)


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_explained(file: str) -> None:
    page = (FOLDER.parent / "docs" / "docker.md").read_text()
    for name in variables(file) - {"HOME"}:
        assert f"| `{name}` |" in page, name
        # `matinee` on the same machine takes every MATINEE_ variable for a setting, and refuses those it does not know.
        assert not name.startswith("MATINEE_")


def test_a_block_volume_takes_the_place_of_the_named_ones() -> None:
    def sources(environment: dict[str, str]) -> set[str]:
        services = load(FILES[1], environment)["services"]
        return {v.partition(":")[0] for s in services.values() for v in s["volumes"] if isinstance(v, str)}

    assert sources(NAMED) == {"postgres_data", "s3_data", "jupyter", "mlflow_home"}
    assert sources(ON_BLOCK) == {*(f"/mnt/block/{n}" for n in ("postgres_data", "s3_data", "jupyter")), "mlflow_home"}


def test_the_target_container_has_no_default() -> None:
    with pytest.raises(KeyError, match="RCLONE_CONTAINER: the name of your object container"):
        load(FILES[0], {"HOME": "/home/someone"})


def test_the_object_mount_is_read_only() -> None:
    (mount,) = [v for v in load(FILES[1], NAMED)["services"]["jupyter"]["volumes"] if isinstance(v, dict)]
    assert (mount["source"], mount["target"], mount["read_only"]) == ("/mnt/object", "/mnt/object", True)
    assert mount["bind"]["propagation"] == "rslave"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "a"),
        ("${B:-b}", "b"),
        ("${A:-b}", "a"),
        ("${A:+x}y", "xy"),
        ("${B:+x}y", "y"),
        ("${B:-${A}/z}", "a/z"),
        ("${A:+${A}/}data", "a/data"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, expected: str) -> None:
    assert interpolate(text, {"A": "a"}) == expected


def test_the_files_that_are_mounted_are_there() -> None:
    plain = yaml.safe_load((FOLDER / FILES[1]).read_text())
    for config in plain["configs"].values():
        assert (FOLDER / config["file"]).is_file()
