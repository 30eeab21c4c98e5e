"""Run a real Keystone on this machine for the tests, its database and keys in one folder; runs in .venv-openstack.

    python keystone_server.py FOLDER PORT

The first start makes database, keys and an administrator, whose password is in OS_BOOTSTRAP_PASSWORD.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from keystone import conf as keystone_conf
from keystone.common import fernet_utils
from keystone.common.sql import upgrades
from keystone.server.flask import core
from werkzeug.serving import run_simple

CONFIG = """
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
[oslo_policy]
enforce_scope = true
"""

KEYS_KEPT = 3


def main(folder: Path, port: int) -> None:
    config = folder / "keystone.conf"
    config.write_text(CONFIG.format(folder=folder))
    app = core.initialize_application(
        "public", post_log_configured_function=lambda: prepare(config, port), config_files=[str(config)]
    )
    run_simple("127.0.0.1", port, app, threaded=True)


def prepare(config: Path, port: int) -> None:
    """Keys, tables and an administrator, where a start before this one has not made them."""
    if (config.parent / "keystone.db").exists():
        return
    for section in ("fernet_tokens", "credential"):
        keys = Path(getattr(keystone_conf.CONF, section).key_repository)
        keys.mkdir(mode=0o700)
        fernet_utils.FernetUtils(str(keys), KEYS_KEPT, section).initialize_key_repository()
    upgrades.offline_sync_database_to_version(None)
    # In a process of its own: Keystone's parts can be put together only once in a process.
    manage = Path(sys.executable).with_name("keystone-manage")
    url = ["--bootstrap-public-url", f"http://127.0.0.1:{port}/v3", "--bootstrap-region-id", "RegionOne"]
    subprocess.run([manage, "--config-file", config, "bootstrap", *url], check=True, capture_output=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    del sys.argv[1:]  # Keystone reads them as well
    main(Path(arguments[0]), int(arguments[1]))
