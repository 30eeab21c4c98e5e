"""One server in an OpenStack cloud, with everything that must outlive it.

The verbs are twins of `matinee cloud ...`; where no settings are passed, each reads `[cloud]` of `matinee.toml`.
"""

from matinee.cloud.steps import Plan, Step
from matinee.cloud.verbs import down, plan, ssh, status, tunnel, up

__all__ = ["Plan", "Step", "down", "plan", "ssh", "status", "tunnel", "up"]
