"""The cloud-init text of a new server: the volume's service, Matinee in a virtual environment, the stack on the volume.

A pure function of the settings and the volume's id. No secret in it: every program on the server can read it.
"""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matinee.cloud.wanted import Wanted

__all__ = ["LABEL", "MOUNT", "user_data"]

MOUNT: Final = "/mnt/block"
LABEL: Final = "matinee"  # of the file system, so that it is found whatever the device is called
_ENVIRONMENT: Final = "/opt/matinee"
_SCRIPT: Final = "/usr/local/lib/matinee/block_volume.sh"

# Restarted until the volume is there: `up` may have been interrupted between making the server and attaching it.
_BLOCK_UNIT: Final = """\
[Unit]
Description=The block volume of Matinee, at {mount}
Before=matinee.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=10
ExecStart=/bin/sh {script} {volume} {label} {mount} {user}

[Install]
WantedBy=multi-user.target
"""
_STACK_UNIT: Final = """\
[Unit]
Description=The stack of Matinee on {mount}
Requires=matinee-block.service
After=matinee-block.service network-online.target
Wants=network-online.target
RequiresMountsFor={mount}

[Service]
Type=oneshot
RemainAfterExit=yes
User={user}
Environment=MATINEE_DATA_DIR={mount}
TimeoutStartSec=600
TimeoutStopSec=120
Restart=on-failure
RestartSec=30
ExecStart={environment}/bin/matinee up --data-dir {mount}
ExecStop={environment}/bin/matinee down --data-dir {mount}

[Install]
WantedBy=multi-user.target
"""


def user_data(want: Wanted, volume_id: str) -> str:
    """The text that cloud-init reads at the first start: YAML, written as JSON, which is a part of it."""
    words = {
        "environment": _ENVIRONMENT,
        "label": LABEL,
        "mount": MOUNT,
        "script": _SCRIPT,
        "user": want.ssh_user,
        "volume": volume_id,
    }
    config: dict[str, Any] = {
        "hostname": want.name,
        "package_update": True,
        "packages": ["python3-venv", "fuse3", "e2fsprogs"],
        "write_files": [
            _file(_SCRIPT, files("matinee.cloud").joinpath("block_volume.sh").read_text(encoding="utf-8"), "0755"),
            _file("/etc/systemd/system/matinee-block.service", _BLOCK_UNIT.format(**words)),
            _file("/etc/systemd/system/matinee.service", _STACK_UNIT.format(**words)),
            {"path": "/etc/environment", "content": f"MATINEE_DATA_DIR={MOUNT}\n", "append": True},
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            # Both units are enabled before the long part, so that a restart of the server in between loses nothing.
            ["systemctl", "enable", "matinee-block.service", "matinee.service"],
            ["systemctl", "start", "--no-block", "matinee-block.service"],
            ["python3", "-m", "venv", _ENVIRONMENT],
            [f"{_ENVIRONMENT}/bin/pip", "install", "--quiet", "--retries", "10", *shlex.split(want.package)],
            ["ln", "-sf", f"{_ENVIRONMENT}/bin/matinee", "/usr/local/bin/matinee"],
            ["systemctl", "start", "--no-block", "matinee.service"],
        ],
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"


def _file(path: str, content: str, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "content": content, "permissions": permissions}
