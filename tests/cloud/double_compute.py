"""Nova and Cinder of the double: servers, key pairs, flavours, volumes, and what is attached to what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from double import PROJECT, USER, Answer, Request, error, new_id

if TYPE_CHECKING:
    from double import Double

__all__ = ["Compute"]

_NOW = "2026-11-25T12:00:00Z"
_SIZES = {"small": 2, "medium": 4, "large": 8}


class Compute:
    """State of both services.

    Attributes:
        builds: 'ACTIVE' is what new servers become after some looks; any other text is the fault of an ERROR.
        zone: where servers land that ask for no zone.
    """

    def __init__(self, double: Double) -> None:
        self.double = double
        self.servers: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.key_pairs: dict[str, dict[str, Any]] = {}
        self.coming: dict[str, list[tuple[str, str]]] = {}  # id -> what the next looks find
        self.flavours = [
            _flavour("1", "m1.small", 2048),
            _flavour("2", "m1.medium", 4096),
            _flavour("3", "m1.large", 8192),
        ]
        self.builds = "ACTIVE"
        self.zone = "nova"
        self.zones = ["nova", "edge"]
        self.deleted: list[str] = []

    def answer(self, request: Request) -> Answer:
        """Nova's answer, with request and answer held against its schemas."""
        operation = _operation(request)
        for kind, value in (("request_query", request.query), ("request_body", request.body)):
            problem = self.double.check("nova", operation, kind, value)
            if problem:
                return error(400, problem)
        answer = self._route(request)
        if answer.status < 300:
            problem = self.double.check("nova", operation, "response_body", answer.body)
            if problem:
                return error(500, problem)
        return answer

    def _route(self, request: Request) -> Answer:
        method, path, body = request.method, request.path, request.body
        if path.startswith("/os-keypairs"):
            return self._key_pairs(request)
        if (method, path) == ("GET", "/flavors/detail"):
            return Answer(200, {"flavors": self.flavours})
        if (method, path) == ("GET", "/os-availability-zone"):
            zones = [{"zoneName": zone, "zoneState": {"available": True}, "hosts": None} for zone in self.zones]
            return Answer(200, {"availabilityZoneInfo": zones})
        if (method, path) == ("POST", "/servers"):
            return self._create_server(body["server"])
        if method == "GET" and path in {"/servers", "/servers/detail"}:
            pattern = request.query.get("name", [""])[0]
            listed = [self._look(server) for server in self.servers.values() if re.search(pattern, server["name"])]
            return Answer(200, {"servers": listed})
        server = self.servers.get(path.split("/")[2])
        if server is None:
            return error(404, f"Instance {path.split('/')[2]} could not be found.")
        if path.endswith("/os-volume_attachments") and method == "POST":
            return self._attach(server, body["volumeAttachment"]["volumeId"])
        if path.endswith("/action"):
            return self._act(server, body)
        if method == "DELETE":
            return self._delete(server)
        return Answer(200, {"server": self._look(server) | {"server_groups": []}})

    def _key_pairs(self, request: Request) -> Answer:
        if request.method == "POST":
            asked = request.body["keypair"]
            if asked["name"] in self.key_pairs:
                return error(409, f"Key pair '{asked['name']}' already exists.")
            pair = {"name": asked["name"], "public_key": asked["public_key"], "fingerprint": "aa:bb", "type": "ssh"}
            self.key_pairs[pair["name"]] = pair
            return Answer(201, {"keypair": pair | {"user_id": USER}})
        name = request.path.removeprefix("/os-keypairs").lstrip("/")
        if not name:
            return Answer(200, {"keypairs": [{"keypair": pair} for pair in self.key_pairs.values()]})
        if name not in self.key_pairs:
            return error(404, f"Keypair {name} not found for user {USER}")
        more = {"id": 1, "user_id": USER, "created_at": _NOW, "deleted": False, "deleted_at": None, "updated_at": None}
        return Answer(200, {"keypair": self.key_pairs[name] | more})

    def _create_server(self, asked: dict[str, Any]) -> Answer:
        zone = asked.get("availability_zone", self.zone)
        groups = [self.double.network.group(each["name"]) for each in asked["security_groups"]]
        if zone not in self.zones:
            return error(400, "The requested availability zone is not available")
        if asked["key_name"] not in self.key_pairs or None in groups:
            return error(400, "Invalid key_name or security group provided.")
        identity = new_id()
        server = _server(
            identity, asked, zone, next(each for each in self.flavours if each["id"] == asked["flavorRef"])
        )
        self.servers[identity] = server
        port = self.double.network.add_port(identity, asked["networks"][0]["uuid"], groups[0]["id"])
        address = {"addr": port["fixed_ips"][0]["ip_address"], "version": 4, "OS-EXT-IPS:type": "fixed"}
        server["addresses"] = {"sharednet1": [address | {"OS-EXT-IPS-MAC:mac_addr": port["mac_address"]}]}
        self.coming[identity] = [("status", "BUILD"), ("status", "ACTIVE" if self.builds == "ACTIVE" else "ERROR")]
        if self.builds != "ACTIVE":
            server["fault"] = {"code": 500, "created": _NOW, "message": self.builds}
        shown = {"id": identity, "links": server["links"], "OS-DCF:diskConfig": "MANUAL", "adminPass": "x"}
        return Answer(202, {"server": shown | {"security_groups": [{"name": groups[0]["name"]}]}})

    def _look(self, thing: dict[str, Any]) -> dict[str, Any]:
        """The thing as it is now; each look brings what is under way a step further."""
        if self.coming.get(thing["id"]):
            key, value = self.coming[thing["id"]].pop(0)
            thing[key] = value
        hidden = {"_port"} | ({"fault"} if thing.get("status") != "ERROR" else set())
        return {key: value for key, value in thing.items() if key not in hidden}

    def _act(self, server: dict[str, Any], body: dict[str, Any]) -> Answer:
        wanted, result = ("ACTIVE", "SHUTOFF") if "os-stop" in body else ("SHUTOFF", "ACTIVE")
        if server["status"] != wanted:
            return error(
                409, f"Cannot '{next(iter(body))}' instance while it is in vm_state {server['status'].lower()}"
            )
        self.coming[server["id"]] = [("status", wanted), ("status", result)]
        return Answer(202)

    def _delete(self, server: dict[str, Any]) -> Answer:
        del self.servers[server["id"]]
        self.deleted.append(server["id"])
        self.double.network.drop_ports(server["id"])
        for volume in self.volumes.values():
            if volume["attachments"] and volume["attachments"][0]["server_id"] == server["id"]:
                volume["attachments"] = []
                volume["status"] = "detaching"
                self.coming[volume["id"]] = [("status", "detaching"), ("status", "available")]
        return Answer(204)

    def _attach(self, server: dict[str, Any], volume_id: str) -> Answer:
        volume = self.volumes[volume_id]
        if volume["status"] != "available":
            return error(400, f"Invalid volume: Volume {volume_id} status must be available to reserve")
        if volume["availability_zone"] != server["OS-EXT-AZ:availability_zone"]:
            return error(400, "Invalid volume: Instance and volume are not in the same availability_zone.")
        volume["status"] = "attaching"
        volume["attachments"] = [{"server_id": server["id"], "volume_id": volume_id, "device": "/dev/vdb"}]
        self.coming[volume_id] = [("status", "attaching"), ("status", "in-use")]
        attachment = {"id": volume_id, "device": "/dev/vdb", "serverId": server["id"], "volumeId": volume_id}
        return Answer(200, {"volumeAttachment": attachment | {"tag": None, "delete_on_termination": False}})

    def answer_volume(self, request: Request) -> Answer:
        """Cinder's answer."""
        method, path = request.method, request.path
        if (method, path) == ("POST", "/volumes"):
            problem = self.double.check("cinder", "POST /volumes", "request_body", request.body)
            return error(400, problem) if problem else self._create_volume(request.body["volume"])
        if (method, path) == ("GET", "/os-availability-zone"):
            zones = [{"zoneName": zone, "zoneState": {"available": True}} for zone in self.zones]
            return Answer(200, {"availabilityZoneInfo": zones})
        if (method, path) == ("GET", "/volumes/detail"):
            name = request.query.get("name", [None])[0]
            found = [self._look(volume) for volume in self.volumes.values() if name in {None, volume["name"]}]
            return Answer(200, {"volumes": found})
        volume = self.volumes.get(path.split("/")[2])
        if volume is None:
            return error(404, f"Volume {path.split('/')[2]} could not be found.")
        if method == "DELETE":
            if volume["status"] != "available":
                return error(400, "Invalid volume: Volume status must be available or error")
            del self.volumes[volume["id"]]
            return Answer(202)
        return Answer(200, {"volume": self._look(volume)})

    def _create_volume(self, asked: dict[str, Any]) -> Answer:
        volume = {
            "id": new_id(),
            "name": asked["name"],
            "size": asked["size"],
            "metadata": asked.get("metadata", {}),
            "availability_zone": asked.get("availability_zone", "nova"),
            "status": "creating",
            "attachments": [],
            "created_at": _NOW[:-1],
        }
        self.volumes[volume["id"]] = volume
        self.coming[volume["id"]] = [("status", "creating"), ("status", "available")]
        return Answer(202, {"volume": dict(volume)})


def _operation(request: Request) -> str:
    """The name under which the schemas know it."""
    path = re.sub(r"^/os-keypairs/.+", "/os-keypairs/{name}", request.path)
    path = re.sub(r"^/servers/[0-9a-f-]{36}", "/servers/{id}", path)
    action = f" {next(iter(request.body))}" if path.endswith("/action") and request.body else ""
    return f"{request.method} {path}{action}"


def _flavour(identity: str, name: str, ram: int) -> dict[str, Any]:
    return {
        "id": identity, "name": name, "ram": ram, "disk": 20, "vcpus": 2, "swap": 0, "rxtx_factor": 1.0,
        "description": None,
        "os-flavor-access:is_public": True, "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False,
        "links": [{"rel": "self", "href": "http://cloud/flavors/1"}], "extra_specs": {},
    }  # fmt: skip


def _server(identity: str, asked: dict[str, Any], zone: str, flavour: dict[str, Any]) -> dict[str, Any]:
    kept = {"disk": 20, "ephemeral": 0, "extra_specs": {}, "ram": flavour["ram"], "swap": 0, "vcpus": 2}
    return {
        "id": identity, "name": asked["name"], "status": "BUILD", "metadata": asked.get("metadata", {}),
        "accessIPv4": "", "accessIPv6": "", "addresses": {}, "config_drive": "", "created": _NOW, "updated": _NOW,
        "flavor": kept | {"original_name": flavour["name"]}, "hostId": "", "key_name": asked["key_name"],
        "image": {"id": asked["imageRef"], "links": [{"rel": "bookmark", "href": "http://cloud/images/1"}]},
        "links": [{"rel": "self", "href": "http://cloud/servers/1"}], "os-extended-volumes:volumes_attached": [],
        "progress": 0, "tenant_id": PROJECT, "user_id": USER, "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": zone, "OS-EXT-STS:power_state": 1, "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "building", "OS-SRV-USG:launched_at": None, "OS-SRV-USG:terminated_at": None,
        "OS-EXT-SRV-ATTR:hostname": asked["name"], "OS-EXT-SRV-ATTR:user_data": asked.get("user_data"), "locked": False,
        "description": None, "tags": [], "trusted_image_certificates": None, "locked_reason": None,
        "OS-EXT-SRV-ATTR:reservation_id": "r-1", "OS-EXT-SRV-ATTR:launch_index": 0,
        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda", "OS-EXT-SRV-ATTR:kernel_id": "",
        "OS-EXT-SRV-ATTR:ramdisk_id": "",
    }  # fmt: skip
