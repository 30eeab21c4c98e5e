"""Neutron of the double: networks, ports, security groups and floating IPs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from double import PROJECT, Answer, Request, error, new_id

if TYPE_CHECKING:
    from double import Double

__all__ = ["Network"]


class Network:
    """Its state. A resource is found in the table of its collection, by id.

    Attributes:
        addresses: what floating IPs get, one after the other.
    """

    def __init__(self, double: Double) -> None:
        self.double = double
        self.tables: dict[str, dict[str, dict[str, Any]]] = {
            "networks": {}, "ports": {}, "security-groups": {}, "security-group-rules": {}, "floatingips": {},
        }  # fmt: skip
        for name, external in (("sharednet1", False), ("public", True)):
            network = {"id": new_id(), "name": name, "router:external": external, "status": "ACTIVE", "subnets": []}
            self.tables["networks"][network["id"]] = network
        self.addresses = [f"127.0.0.{number}" for number in range(70, 60, -1)]

    def group(self, name_or_id: str) -> dict[str, Any] | None:
        """The security group that Nova is told of."""
        groups = self.tables["security-groups"].values()
        return next((group for group in groups if name_or_id in {group["id"], group["name"]}), None)

    def add_port(self, device: str, network: str, group: str) -> dict[str, Any]:
        """What Nova does for a new server."""
        number = len(self.tables["ports"]) + 10
        port = {
            "id": new_id(), "name": "", "device_id": device, "network_id": network, "security_groups": [group],
            "mac_address": f"fa:16:3e:00:00:{number:02x}",
            "fixed_ips": [{"ip_address": f"10.0.0.{number}", "subnet_id": new_id()}],
        }  # fmt: skip
        self.tables["ports"][port["id"]] = port
        return port

    def drop_ports(self, device: str) -> None:
        """What Nova does for a server that goes."""
        for port in [port for port in self.tables["ports"].values() if port["device_id"] == device]:
            self._drop_port(port["id"])

    def answer(self, request: Request) -> Answer:
        """Neutron's answer."""
        _, collection, *rest = request.path.split("/")
        table = self.tables[collection]
        member = collection.replace("-", "_")[:-1]
        operation = f"{request.method} /{collection}" + ("/{id}" if rest else "")
        if request.method in {"POST", "PUT"}:
            problem = self.double.check("neutron", operation, "request_body", request.body)
            if problem:
                return error(400, problem)
        if rest and rest[0] not in table:
            return error(404, f"{member} {rest[0]} could not be found")
        if request.method == "POST":
            return self._create(collection, member, request.body[member])
        if request.method == "PUT":
            table[rest[0]] |= request.body[member]
            return Answer(200, {member: self._shown(collection, table[rest[0]])})
        if request.method == "DELETE":
            return self._delete(collection, rest[0])
        if rest:
            return Answer(200, {member: self._shown(collection, table[rest[0]])})
        filters = {key: values for key, values in request.query.items() if key not in {"limit", "marker", "fields"}}
        found = [
            self._shown(collection, thing)
            for thing in table.values()
            if all(str(thing.get(key)) in values for key, values in filters.items())
        ]
        return Answer(200, {collection.replace("-", "_"): found})

    def _create(self, collection: str, member: str, asked: dict[str, Any]) -> Answer:
        thing = {"id": new_id(), "project_id": PROJECT, "description": ""} | asked
        if collection == "floatingips":
            taken = {each["floating_ip_address"] for each in self.tables["floatingips"].values()}
            thing |= {"floating_ip_address": next(each for each in self.addresses if each not in taken)}
            thing.setdefault("port_id", None)
        if collection == "security-group-rules":
            same = [_key(rule) == _key(thing) for rule in self.tables[collection].values()]
            if any(same):
                return error(409, "Security group rule already exists.")
        self.tables[collection][thing["id"]] = thing
        return Answer(201, {member: self._shown(collection, thing)})

    def _delete(self, collection: str, identity: str) -> Answer:
        if collection == "ports":
            self._drop_port(identity)
            return Answer(204)
        if collection == "security-groups":
            if any(identity in port["security_groups"] for port in self.tables["ports"].values()):
                return error(409, f"Security Group {identity} in use.")
            rules = self.tables["security-group-rules"]
            for rule in [rule for rule in rules.values() if rule["security_group_id"] == identity]:
                del rules[rule["id"]]
        del self.tables[collection][identity]
        return Answer(204)

    def _drop_port(self, identity: str) -> None:
        del self.tables["ports"][identity]
        for floating in self.tables["floatingips"].values():
            if floating["port_id"] == identity:
                floating["port_id"] = None

    def _shown(self, collection: str, thing: dict[str, Any]) -> dict[str, Any]:
        if collection != "security-groups":
            return thing
        rules = [
            {"remote_ip_prefix": None, "remote_group_id": None, "port_range_min": None, "port_range_max": None} | rule
            for rule in self.tables["security-group-rules"].values()
            if rule["security_group_id"] == thing["id"]
        ]
        return thing | {"security_group_rules": rules}


def _key(rule: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two rules the same to Neutron; the description does not."""
    names = ("security_group_id", "direction", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    return tuple(re.sub(r"\s", "", str(rule.get(name))) for name in names)
