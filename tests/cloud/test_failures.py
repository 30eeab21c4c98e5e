"""What a cloud, a credential or a setting can have against us: one clear line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from double import Double, Fault

import matinee.cloud
from matinee.errors import (
    CloudConflictError,
    CloudDeniedError,
    CloudError,
    CloudUnreachableError,
    MatineeError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.settings import Settings

    Machine = Callable[..., Settings]


def _up(settings: Settings) -> str:
    """The line with which `up` ends."""
    with pytest.raises(MatineeError) as caught:
        matinee.cloud.up(settings=settings)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_without_clouds_yaml(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = machine()
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
    assert "UsageError: no clouds.yaml in this folder, ~/.config/openstack" in _up(settings)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cloud": "kwm"}, r"[cloud] cloud = 'kwm': not in {file}, did you mean 'kvm'?; known are kvm, chi"),
        ({"object_cloud": "mars"}, r"[cloud] object_cloud = 'mars': not in {file}; known are kvm, chi"),
        ({"cloud": None}, "{file} has kvm, chi; say which one with cloud in [cloud] of matinee.toml"),
        ({"image": "CC-Ubuntu24"}, "kvm: no image 'CC-Ubuntu24' (key image in [cloud]); did you mean 'CC-Ubuntu24.04'"),
        ({"flavour": "huge"}, "no flavour 'huge' (key flavour in [cloud]); there are m1.large, m1.medium, m1.small"),
        ({"network": "sharednet2"}, "no network 'sharednet2' (key network in [cloud]); did you mean 'sharednet1'?"),
        ({"external_network": "sharednet1"}, "no external network 'sharednet1' (key external_network in [cloud])"),
        ({"availability_zone": "moon"}, "no availability zone 'moon' for both servers and volumes"),
        ({"name": "My Server"}, "[cloud] name = 'My Server': expected a host name"),
        ({"ssh_user": "a b"}, "[cloud] ssh_user = 'a b': expected the name of an account"),
        ({"ssh_from": "home"}, "[cloud] ssh_from = 'home': 'home' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_setting_that_names_what_is_not_there(
    changes: dict[str, Any], line: str, machine: Machine, kvm: Double, tmp_path: Path
) -> None:
    settings = machine(**changes)
    assert line.format(file=tmp_path / "clouds.yaml") in _up(settings)
    assert not any(name.startswith("POST") and "/auth/" not in name for name in kvm.seen)


def test_a_public_key_that_is_none(machine: Machine, tmp_path: Path) -> None:
    assert "no public key in " in _up(machine(public_key=None))
    assert "nowhere.pub: the public key cannot be read" in _up(machine(public_key=tmp_path / "nowhere.pub"))
    private = tmp_path / "private.pub"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    assert "expected a public SSH key" in _up(machine(public_key=private))


def test_a_key_pair_with_another_key(machine: Machine, kvm: Double) -> None:
    kvm.compute.key_pairs["matinee"] = {
        "name": "matinee", "public_key": "ssh-ed25519 AAAAother", "fingerprint": "aa", "type": "ssh",
    }  # fmt: skip
    assert "CloudConflictError: kvm: key pair 'matinee' is not the key in " in _up(machine())


def test_an_entry_without_its_secret(machine: Machine, kvm: Double, clouds_yaml: Callable[..., Path]) -> None:
    settings = machine(object_cloud=None)
    clouds_yaml(kvm=kvm.entry(auth={"auth_url": f"{kvm.url}/identity/v3"}))
    assert "UsageError: " in _up(settings)
    assert "entry 'kvm' is incomplete" in _up(settings)


def test_a_wrong_or_expired_credential(machine: Machine, kvm: Double, tmp_path: Path) -> None:
    settings = machine()
    secret, kvm.secret = kvm.secret, "a new one"
    line = _up(settings)
    assert line.startswith(
        "CloudDeniedError: kvm: asking for a token: 401, the credential is wrong, expired or deleted"
    )
    assert f"put it into entry 'kvm' of {tmp_path / 'clouds.yaml'}" in line
    assert secret not in line


def test_a_token_that_expires_under_way_is_renewed(machine: Machine, kvm: Double) -> None:
    kvm.faults = [Fault(401, matches="POST /compute/v2.1/servers"), Fault(401, matches="GET /image")]
    assert matinee.cloud.up(settings=machine()) is not None


def test_a_credential_that_is_deleted_under_way(machine: Machine, kvm: Double) -> None:
    settings = machine()

    def deleted(_: object) -> bool:
        kvm.tokens.clear()
        kvm.secret = "another"
        return True

    with pytest.raises(CloudDeniedError, match=r"kvm: creating key pair 'matinee': 401, the credential is wrong"):
        matinee.cloud.up(settings=settings, confirm=deleted)


@pytest.mark.parametrize(
    ("matches", "status", "message", "doing"),
    [
        ("POST /compute/v2.1/servers", 403, "Quota exceeded for cores: Requested 4, but already used 40 of 40 cores",
         "creating server 'matinee'"),
        ("POST /volume", 413, "VolumeSizeExceedsAvailableQuota: Requested volume exceeds allowed gigabytes quota.",
         "creating volume 'matinee' of 50 GB"),
        ("POST /network/v2.0/floatingips", 409, "Quota exceeded for resources: ['floatingip'].",
         "creating a floating IP in network 'public'"),
    ],
)  # fmt: skip
def test_a_quota(matches: str, status: int, message: str, doing: str, machine: Machine, kvm: Double) -> None:
    kvm.faults = [Fault(status, matches=matches, message=message)]
    assert _up(machine()) == (
        f"CloudDeniedError: kvm: {doing}: over a quota ({message}); free something, or ask the site for more, and run "
        "again"
    )
    assert matinee.cloud.up(settings=machine()) is not None


def test_a_right_that_is_missing(machine: Machine, kvm: Double) -> None:
    kvm.faults = [
        Fault(403, matches="POST /network/v2.0/security-groups", message="rule:create is disallowed by policy")
    ]
    assert "403, this credential may not do that (rule:create is disallowed by policy)" in _up(machine())


def test_a_server_that_breaks(machine: Machine, kvm: Double) -> None:
    kvm.compute.builds = "No valid host was found. There are not enough hosts available."
    line = _up(machine())
    (server,) = kvm.compute.servers.values()
    assert line.startswith(
        f"CloudError: kvm: server 'matinee' ({server['id']}) is in state ERROR: No valid host was found. There are not"
    )
    assert "'matinee cloud down' removes it and leaves volume and container" in line
    assert _up(machine()) == line
    state = matinee.cloud.status(settings=machine()).server
    assert state is not None
    assert state.fault == kvm.compute.builds
    matinee.cloud.down(settings=machine())
    kvm.compute.builds = "ACTIVE"
    assert matinee.cloud.up(settings=machine()) is not None
    assert len(kvm.compute.volumes) == 1


def test_a_shelved_server(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (server,) = kvm.compute.servers.values()
    server["status"] = "SHELVED_OFFLOADED"
    assert "is in state SHELVED_OFFLOADED; bring it back to ACTIVE" in _up(machine())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_overloaded_cloud_is_asked_again(status: int, machine: Machine, kvm: Double) -> None:
    kvm.faults = [
        Fault(status, matches="GET /volume", times=2),
        Fault(status, matches="GET /compute/v2.1/servers", times=3),
    ]
    assert matinee.cloud.up(settings=machine()) is not None


def test_a_broken_answer_to_a_creation_is_not_asked_again(machine: Machine, kvm: Double) -> None:
    kvm.faults = [Fault(503, matches="POST /compute/v2.1/servers", message="down for maintenance")]
    line = _up(machine())
    assert line.startswith("CloudUnreachableError: kvm: creating server 'matinee': the cloud answered 503 (down for")
    assert kvm.seen.count("POST /compute/v2.1/servers") == 1
    assert matinee.cloud.up(settings=machine()) is not None


def test_a_connection_lost_after_the_creation(machine: Machine, kvm: Double) -> None:
    kvm.faults = [Fault("lost", matches="POST /compute/v2.1/servers")]
    line = _up(machine())
    assert line.startswith("CloudUnreachableError: kvm: creating server 'matinee': the connection failed or broke off")
    assert "run the same command again: it finds what was made and goes on" in line
    assert len(kvm.compute.servers) == 1
    plan = {step.kind: step.action for step in matinee.cloud.plan(settings=machine()).steps}
    assert (plan["server"], plan["attachment"]) == ("wait", "attach")
    matinee.cloud.up(settings=machine())
    assert len(kvm.compute.servers) == 1


def test_a_cloud_that_is_not_there(machine: Machine, clouds_yaml: Callable[..., Path]) -> None:
    settings = machine(object_cloud=None)
    with Double() as gone:
        clouds_yaml(kvm=gone.entry())
    with pytest.raises(CloudUnreachableError, match=r"kvm: asking for a token: the connection failed or broke off"):
        matinee.cloud.status(settings=settings)


def test_a_site_without_the_service(machine: Machine, chi: Double) -> None:
    endpoints = chi.endpoints()
    del endpoints["object-store"]
    chi.endpoints = lambda: endpoints  # type: ignore[method-assign]
    assert "CloudError: chi: looking for container 'matinee': this cloud has no such service" in _up(machine())


def test_a_volume_that_another_server_has(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    other = matinee.cloud.up(settings=machine(name="other"))
    assert other is not None
    assert other.server is not None
    volume = next(each for each in kvm.compute.volumes.values() if each["name"] == "matinee")
    volume["attachments"][0]["server_id"] = other.server.id
    line = _up(machine())
    assert (
        f"CloudConflictError: kvm: volume 'matinee' is attached to another server, 'other' ({other.server.id})" in line
    )
    assert f"openstack server remove volume {other.server.id} {volume['id']}" in line


def test_a_broken_volume(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    next(iter(kvm.compute.volumes.values()))["status"] = "error_attaching"
    assert "volume 'matinee' (" in _up(machine())
    assert "is in state 'error_attaching'; the data may be whole" in _up(machine())


def test_a_volume_in_another_zone(machine: Machine, kvm: Double) -> None:
    kvm.compute.zone = "edge"
    line = _up(machine())
    assert "volume 'matinee' is in availability zone 'nova', server 'matinee' in 'edge'; set availability_zone" in line


@pytest.mark.parametrize("kind", ["server", "volume", "security group"])
def test_two_of_ours(kind: str, machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    tables: dict[str, dict[str, dict[str, Any]]] = {
        "server": kvm.compute.servers,
        "volume": kvm.compute.volumes,
        "security group": kvm.network.tables["security-groups"],
    }
    (first,) = tables[kind].values()
    twin = first | {"id": "00000000-0000-4000-8000-000000000000"}
    tables[kind][twin["id"]] = twin
    line = _up(machine())
    assert f"CloudConflictError: kvm: 2 {kind}s are named 'matinee' and tagged as Matinee's (" in line
    assert first["id"] in line
    assert twin["id"] in line


def test_two_floating_ips(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (first,) = kvm.network.tables["floatingips"].values()
    kvm.network.tables["floatingips"]["x"] = first | {"id": "x", "floating_ip_address": "127.0.0.9"}
    assert "2 floating IPs are described as 'matinee=matinee' (127.0.0.70, 127.0.0.9), expected one" in _up(machine())


@pytest.mark.parametrize("kind", ["server", "volume"])
def test_somebody_elses(kind: str, machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (thing,) = (kvm.compute.servers if kind == "server" else kvm.compute.volumes).values()
    thing["metadata"] = {}
    line = _up(machine())
    assert f"a {kind} named 'matinee' is there, but not tagged as Matinee's; set another name in [cloud]" in line
    assert line.endswith(f"openstack {kind} set --property matinee=matinee {thing['id']}")


def test_a_wait_that_takes_too_long(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.cloud.server._ACTIVE_TIMEOUT_S", -1.0)
    with pytest.raises(CloudError, match=r"server matinee: still BUILD after -1 s; look at the cloud's web page"):
        matinee.cloud.up(settings=machine())


def test_data_goes_only_when_its_name_is_typed(machine: Machine, kvm: Double, chi: Double) -> None:
    matinee.cloud.up(settings=machine())
    chi.containers["matinee"]["objects"] = {f"object {number}": b"x" for number in range(5)}
    chi.containers["matinee_segments"] = {"meta": {}, "objects": {"part": b"x"}}
    seen = list(kvm.seen)
    for typed in ({"delete_volume": "data"}, {"delete_container": "data"}):
        with pytest.raises(UsageError, match=r"'data': nothing was removed; the name to type here is 'matinee'"):
            matinee.cloud.down(settings=machine(), **typed)  # type: ignore[arg-type]  # one of two options
    names = {"delete_volume": "matinee", "delete_container": "matinee"}
    dry = matinee.cloud.down(settings=machine(), dry_run=True, **names)  # type: ignore[arg-type]  # two of four options
    assert dry is not None
    assert {step.action for step in dry.steps} == {"delete"}
    assert not [name for name in kvm.seen[len(seen) :] if not name.startswith("GET") and "/auth/" not in name]
    assert matinee.cloud.down(settings=machine(), confirm=lambda _: False) is None
    assert len(kvm.compute.servers) == 1
    matinee.cloud.down(settings=machine(), **names)  # type: ignore[arg-type]  # see above
    assert kvm.compute.servers == kvm.compute.volumes == chi.containers == {}


def test_a_container_of_somebody_else_is_used_but_never_deleted(machine: Machine, chi: Double) -> None:
    chi.containers["matinee"] = {"meta": {}, "objects": {"theirs": b"x"}}
    matinee.cloud.up(settings=machine())
    assert chi.containers["matinee"]["meta"] == {}
    with pytest.raises(CloudConflictError, match=r"was not made by 'matinee cloud', so it does not delete it"):
        matinee.cloud.down(settings=machine(), delete_container="matinee")


def test_the_server_is_shut_down_before_it_is_deleted(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    matinee.cloud.down(settings=machine())
    asked = [name for name in kvm.seen if name.startswith(("POST /compute", "DELETE /compute"))]
    assert asked[-2].endswith("/action")
    assert asked[-1].startswith("DELETE /compute/v2.1/servers/")
    assert matinee.cloud.down(settings=machine()).changes == 0  # type: ignore[union-attr]  # nobody is asked
