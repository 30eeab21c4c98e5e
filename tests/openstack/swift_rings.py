"""Write the rings of a Swift with one device on this machine; runs in .venv-openstack.

python swift_rings.py FOLDER ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

from swift.common.ring import RingBuilder

folder = Path(sys.argv[1])
for name, port in zip(("account", "container", "object"), map(int, sys.argv[2:]), strict=True):
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1})
    builder.rebalance(seed="matinee")
    builder.get_ring().save(str(folder / f"{name}.ring.gz"))
