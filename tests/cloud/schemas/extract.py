"""Writes the JSON files of this folder from the services' own packages, so that anyone can see where they come from.

Run it in an environment of its own, once a service (their options collide in one process):

    pip install nova==34.0.0 cinder==29.0.0 neutron==29.0.0 neutron-lib==5.0.1
    python extract.py nova > nova.json; python extract.py cinder > cinder.json; python extract.py neutron > neutron.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

NOVA_MICROVERSION = "2.95"  # OpenStack 2023.1, the last one that still says what every later one accepts
CINDER_MICROVERSION = "3.70"


def nova() -> dict[str, Any]:
    """Request bodies, queries and response bodies, as Nova's controllers declare them for one microversion."""
    from nova.api.openstack.api_version_request import APIVersionRequest
    from nova.api.openstack.compute import flavors, keypairs, servers, volume_attachments

    version = APIVersionRequest(NOVA_MICROVERSION)
    operations = {
        "POST /servers": servers.ServersController.create,
        "GET /servers": servers.ServersController.index,
        "GET /servers/detail": servers.ServersController.detail,
        "GET /servers/{id}": servers.ServersController.show,
        "DELETE /servers/{id}": servers.ServersController.delete,
        "POST /servers/{id}/action os-start": servers.ServersController._start,
        "POST /servers/{id}/action os-stop": servers.ServersController._stop,
        "GET /servers/{id}/os-volume_attachments": volume_attachments.VolumeAttachmentController.index,
        "POST /servers/{id}/os-volume_attachments": volume_attachments.VolumeAttachmentController.create,
        "DELETE /servers/{id}/os-volume_attachments/{volume}": volume_attachments.VolumeAttachmentController.delete,
        "GET /os-keypairs": keypairs.KeypairController.index,
        "GET /os-keypairs/{name}": keypairs.KeypairController.show,
        "POST /os-keypairs": keypairs.KeypairController.create,
        "GET /flavors/detail": flavors.FlavorsController.detail,
    }
    found: dict[str, Any] = {}
    for name, method in operations.items():
        for kind in ("request_body", "request_query", "response_body"):
            declared = getattr(method, f"{kind}_schemas", None)
            for schema, oldest, newest in declared._schemas if declared else ():
                if version.matches(oldest, newest):
                    found.setdefault(name, {})[kind] = schema
    return {"source": "nova 34.0.0", "microversion": NOVA_MICROVERSION, "operations": found}


def cinder() -> dict[str, Any]:
    """The body of a new volume, as Cinder declares it from microversion 3.53 on."""
    from cinder.api.schemas import volumes

    return {
        "source": "cinder 29.0.0",
        "microversion": CINDER_MICROVERSION,
        "operations": {"POST /volumes": {"request_body": volumes.create_volume_v353}},
    }


def neutron() -> dict[str, Any]:
    """Neutron has attribute maps where the others have JSON schemas; they say the same, so they are written as such."""
    from neutron.extensions import securitygroup
    from neutron_lib.api.definitions import l3, port

    described = {"type": ["string", "null"], "maxLength": 255}  # the extension "standard-attr-description"
    maps = {
        "security_group": securitygroup.RESOURCE_ATTRIBUTE_MAP["security_groups"],
        "security_group_rule": securitygroup.RESOURCE_ATTRIBUTE_MAP["security_group_rules"],
        "floatingip": l3.RESOURCE_ATTRIBUTE_MAP["floatingips"],
        "port": port.RESOURCE_ATTRIBUTE_MAP["ports"],
    }
    found = {}
    for resource, attributes in maps.items():
        for method, allowed in (("POST", "allow_post"), ("PUT", "allow_put")):
            properties = {name: _as_schema(rule) for name, rule in attributes.items() if rule[allowed]}
            needed = [
                name
                for name, rule in attributes.items()
                if method == "POST" and rule["allow_post"] and "default" not in rule and name != "tenant_id"
            ]
            body = {
                "type": "object",
                "properties": {**properties, "description": described},
                "required": needed,
                "additionalProperties": False,
            }
            place = f"{method} /{resource.replace('_', '-')}s" + ("/{id}" if method == "PUT" else "")
            found[place] = {
                "request_body": {
                    "type": "object",
                    "properties": {resource: body},
                    "required": [resource],
                    "additionalProperties": False,
                }
            }
    return {"source": "neutron 29.0.0 and neutron-lib 5.0.1", "operations": found}


def _as_schema(rule: dict[str, Any]) -> dict[str, Any]:
    """One attribute's validators; those without a counterpart allow anything, as an attribute without one does."""
    for name, argument in rule.get("validate", {}).items():
        kind = name.removeprefix("type:")
        if kind in {"string", "name_string", "name_not_default"}:
            return {"type": "string", "maxLength": argument}
        if kind in {"string_or_none", "uuid_or_none"}:
            return {"type": ["string", "null"], **({"format": "uuid"} if kind.startswith("uuid") else {})}
        if kind == "uuid":
            return {"type": "string", "format": "uuid"}
        if kind == "values":
            return {"enum": list(argument)}
        if kind in {"ip_address", "ip_address_or_none"}:
            return {"type": ["string", "null"]}
    return {}


if __name__ == "__main__":
    json.dump({"nova": nova, "cinder": cinder, "neutron": neutron}[sys.argv[1]](), sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")
