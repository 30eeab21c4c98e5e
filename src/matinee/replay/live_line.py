"""A running replay in one line, for logs and pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["duration", "line"]


def line(document: Mapping[str, Any]) -> str:
    """The document of `live.json` in a line: each arm, then the network, then how long it will take."""
    arms = "; ".join(_arm(name, arm, document["events"]) for name, arm in document["arms"].items())
    network = ", ".join(
        f"{name} in {show_size(flow['in_per_s'])}/s out {show_size(flow['out_per_s'])}/s"
        for name, flow in document["network"].items()
        if flow["in_per_s"] or flow["out_per_s"]
    )
    left = document["left_s"]
    state = document["state"] if left is None else f"{duration(left)} left"
    return " | ".join(part for part in (arms, network, state) if part)


def duration(seconds: float) -> str:
    """'5 s', '3 min 20 s', '2 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest_s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _arm(name: str, arm: Mapping[str, Any], events: int) -> str:
    quality = [f"{metric} {value:.4f}" for metric, value in arm["metrics"].items() if value is not None]
    asking = arm["latency_ms"]["ask"]
    latency = [f"{key} {asking[key]:.1f} ms" for key in ("p50", "p99") if asking[key] is not None]
    unanswered = sum(arm["unanswered"].values())
    trouble = [f"{number:,} {what}" for number, what in ((unanswered, "unanswered"), (arm["late"], "late")) if number]
    told = f"{arm['told']:,} of {events:,} told, {arm['per_s']:,.0f}/s"
    return f"{name}: " + ", ".join([told, *quality, *latency, *trouble])
