"""`matinee cloud plan` and `up`: what is made, that nothing is made twice, an old volume with a new server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from double import Double, Fault

import matinee.cloud
from matinee.errors import CloudError, MatineeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.settings import Settings

    Machine = Callable[..., Settings]

KINDS = ["key pair", "security group", "container", "volume", "server", "attachment", "floating IP"]


def _asked(double: Double) -> list[str]:
    """What was asked to change something, without the tokens."""
    return [name for name in double.seen if not name.startswith(("GET ", "HEAD ")) and "/auth/" not in name]


def _state(kvm: Double, chi: Double) -> dict[str, Any]:
    """What there is, without what differs from run to run."""
    group_ids = set(kvm.network.tables["security-groups"])
    servers, volumes = list(kvm.compute.servers.values()), list(kvm.compute.volumes.values())
    return {
        "servers": [(server["name"], server["status"], server["metadata"]) for server in servers],
        "volumes": [(volume["name"], volume["status"], volume["size"], volume["metadata"]) for volume in volumes],
        "attached": [each["server_id"] in kvm.compute.servers for volume in volumes for each in volume["attachments"]],
        "key pairs": sorted(kvm.compute.key_pairs),
        "groups": [group["name"] for group in kvm.network.tables["security-groups"].values()],
        "rules": [
            (rule["remote_ip_prefix"], rule["security_group_id"] in group_ids)
            for rule in kvm.network.tables["security-group-rules"].values()
        ],
        "addresses": [
            ip["port_id"] in kvm.network.tables["ports"] for ip in kvm.network.tables["floatingips"].values()
        ],
        "containers": {name: found["meta"] for name, found in chi.containers.items()},
    }


def test_a_plan_tells_everything_and_makes_nothing(machine: Machine, kvm: Double, chi: Double) -> None:
    plan = matinee.cloud.plan(settings=machine())
    assert [step.kind for step in plan.steps] == KINDS
    assert (plan.cloud, plan.object_cloud, plan.changes) == ("kvm", "chi", len(KINDS))
    assert "SSH from 203.0.113.7/32, nothing else" in {step.detail for step in plan.steps}
    assert _asked(kvm) == _asked(chi) == []


def test_up_makes_it_all_and_a_second_one_nothing(machine: Machine, kvm: Double, chi: Double) -> None:
    done = matinee.cloud.up(settings=machine())
    assert done is not None
    assert done.server is not None
    assert (done.server.state, done.server.address) == ("ACTIVE", "127.0.0.70")
    assert done.volume is not None
    assert (done.volume.state, done.volume.attached) == ("in-use", True)
    assert done.container is not None
    made = _state(kvm, chi)
    assert made["rules"] == [("203.0.113.7/32", True)]
    assert made["containers"] == {"matinee": {"x-container-meta-matinee": "matinee"}}
    assert kvm.containers == {}
    before = _asked(kvm), _asked(chi)
    assert matinee.cloud.plan(settings=machine()).changes == 0
    again = matinee.cloud.up(settings=machine(), confirm=lambda _: pytest.fail("nothing is to be confirmed"))
    assert again == done
    assert (_asked(kvm), _asked(chi)) == before


def test_no_changes_nothing(machine: Machine, kvm: Double) -> None:
    told = []
    assert matinee.cloud.up(settings=machine(), confirm=lambda plan: bool(told.append(plan.changes))) is None
    assert told == [len(KINDS)]
    assert _asked(kvm) == []


def test_the_server_is_told_of_its_volume(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (server,), (volume,) = kvm.compute.servers.values(), kvm.compute.volumes.values()
    text = base64.b64decode(server["OS-EXT-SRV-ATTR:user_data"]).decode()
    assert text.startswith("#cloud-config\n")
    assert volume["id"] in text
    assert kvm.secret not in text


def test_a_new_server_takes_the_old_volume_over(machine: Machine, kvm: Double) -> None:
    first = matinee.cloud.up(settings=machine())
    matinee.cloud.down(settings=machine())
    assert kvm.compute.servers == {}
    second = matinee.cloud.up(settings=machine())
    assert first is not None
    assert second is not None
    assert first.volume == second.volume
    assert first.server != second.server


def test_ssh_follows_where_we_are(machine: Machine, kvm: Double, chi: Double) -> None:
    matinee.cloud.up(settings=machine())
    moved = machine(ssh_from="198.51.100.0/24")
    steps = {step.kind: step for step in matinee.cloud.plan(settings=moved).steps}
    assert steps["security group"].action == "change"
    assert "was: 203.0.113.7/32" in steps["security group"].detail
    matinee.cloud.up(settings=moved)
    assert _state(kvm, chi)["rules"] == [("198.51.100.0/24", True)]


def test_a_rule_of_somebody_else_is_told_and_left_alone(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (group,) = kvm.network.tables["security-groups"]
    rule = {"id": "r", "security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 80}
    kvm.network.tables["security-group-rules"]["r"] = rule | {
        "port_range_max": 80, "description": "", "ethertype": "IPv4",
    }  # fmt: skip
    plan = matinee.cloud.plan(settings=machine())
    assert "opened by others and left alone: tcp 80 from 0.0.0.0/0" in plan.steps[1].detail
    assert plan.changes == 0


def test_our_own_address_is_asked_for(machine: Machine, kvm: Double, chi: Double) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Teller(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"192.0.2.55\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Teller) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        matinee.cloud.up(settings=machine(ssh_from=None, address_service=url))
        server.shutdown()
        thread.join()
    assert _state(kvm, chi)["rules"] == [("192.0.2.55/32", True)]
    with pytest.raises(CloudError, match=r"cannot tell our own address \(.*set ssh_from in \[cloud\]"):
        matinee.cloud.plan(settings=machine(ssh_from=None, address_service=url))


def test_a_stopped_server_is_started(machine: Machine, kvm: Double) -> None:
    matinee.cloud.up(settings=machine())
    (server,) = kvm.compute.servers.values()
    server["status"] = "SHUTOFF"
    assert [step.kind for step in matinee.cloud.plan(settings=machine()).steps if step.action == "start"] == ["server"]
    matinee.cloud.up(settings=machine())
    assert server["status"] == "ACTIVE"


def test_one_cloud_for_all(clouds_yaml: Callable[..., Path], machine: Machine, kvm: Double) -> None:
    settings = machine(cloud=None, object_cloud=None)
    clouds_yaml(kvm=kvm.entry())
    matinee.cloud.up(settings=settings)
    assert set(kvm.containers) == {"matinee"}


@pytest.mark.parametrize("how", ["lost", "refused"])
def test_a_run_that_dies_at_any_request_is_taken_up_again(
    how: str, machine: Machine, kvm: Double, clouds_yaml: Callable[..., Path]
) -> None:
    """Every request in turn is the last that reaches the cloud; 'lost' does its work and loses the answer."""
    settings = machine(object_cloud="kvm")  # one site, so that all requests are counted together
    matinee.cloud.up(settings=settings)
    whole, requests = _state(kvm, kvm), len(kvm.seen)
    died = 0
    for last in range(1, requests + 1):
        with Double("KVM@TACC") as fresh:
            clouds_yaml(kvm=fresh.entry())
            fresh.faults = [Fault(how, at=last), *(Fault("refused", at=after) for after in range(last + 1, last + 9))]
            try:
                matinee.cloud.up(settings=settings)
            except MatineeError as error:
                assert "\n" not in str(error)  # noqa: PT017 - it may also get through, where asking again helps
                died += 1
            fresh.faults = []
            matinee.cloud.up(settings=settings)
            assert _state(fresh, fresh) == whole, last
            assert fresh.problems == []
    assert died > requests / 2


def test_a_down_that_dies_at_any_request_is_taken_up_again(
    machine: Machine, kvm: Double, chi: Double, clouds_yaml: Callable[..., Path]
) -> None:
    settings = machine()
    matinee.cloud.up(settings=settings)
    before = len(kvm.seen)
    matinee.cloud.down(settings=settings)
    gone, requests = _state(kvm, chi), len(kvm.seen) - before
    assert gone["servers"] == gone["addresses"] == gone["groups"] == []
    assert len(gone["volumes"]) == len(gone["containers"]) == 1
    for last in range(1, requests + 1):
        with Double("KVM@TACC") as fresh, Double("CHI@TACC") as objects:
            clouds_yaml(kvm=fresh.entry(), chi=objects.entry())
            matinee.cloud.up(settings=settings)
            done = len(fresh.seen)
            fresh.faults = [
                Fault("lost", at=done + last), *(Fault("refused", at=done + last + after) for after in range(1, 9)),
            ]  # fmt: skip
            try:
                matinee.cloud.down(settings=settings)
            except MatineeError as error:
                assert "\n" not in str(error)  # noqa: PT017 - see above
            fresh.faults = []
            matinee.cloud.down(settings=settings)
            state = _state(fresh, objects)
            state["volumes"] = [(name, "available", *rest) for name, _, *rest in state["volumes"]]
            gone["volumes"] = [(name, "available", *rest) for name, _, *rest in gone["volumes"]]
            assert state == gone, last
