from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from matinee.errors import ServiceError, UsageError
from matinee.network import Interface, Meter, Reading, monitor

MEGABYTE = 1 << 20


def kernel_bytes(name: str) -> tuple[int, int]:
    """In and out of one interface as /proc/net/dev tells them: the first and the ninth of its numbers."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        found, colon, numbers = line.partition(":")
        if colon and found.strip() == name:
            counts = numbers.split()
            return int(counts[0]), int(counts[8])
    raise AssertionError(f"no {name} in /proc/net/dev")


def carry(size_bytes: int) -> None:
    """Send so much from this machine to itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        with client, peer:
            sender = threading.Thread(target=client.sendall, args=(bytes(size_bytes),))
            sender.start()
            left = size_bytes
            while left:
                left -= len(peer.recv(1 << 16))
            sender.join()


def loopback(reading: Reading) -> Interface:
    (found,) = [interface for interface in reading.interfaces if interface.name == "lo"]
    return found


def test_what_is_carried_is_what_the_kernel_counts() -> None:
    before = kernel_bytes("lo")
    meter = Meter("lo")
    after_start = kernel_bytes("lo")
    carry(5 * MEGABYTE)
    counted = kernel_bytes("lo")
    reading = meter.read()
    end = kernel_bytes("lo")
    found = loopback(reading)
    for direction, flow in enumerate((found.received, found.sent)):
        # Others talk over the loopback too, so it is bracketed: what the kernel said just before and just after.
        assert counted[direction] <= flow.total_bytes <= end[direction]
        assert counted[direction] - after_start[direction] <= flow.watched_bytes <= end[direction] - before[direction]
        assert flow.watched_bytes >= 5 * MEGABYTE
        assert flow.now_per_s == flow.least_per_s == flow.most_per_s
        assert flow.average_per_s == pytest.approx(flow.watched_bytes / reading.watched_s)
        assert flow.average_per_s == pytest.approx(flow.now_per_s, rel=0.05)


def test_least_and_most_are_of_all_intervals() -> None:
    meter = Meter("lo")
    rates = []
    for size_bytes in (4 * MEGABYTE, 1000, 1000):
        carry(size_bytes)
        time.sleep(0.05)
        rates.append(meter.read())
    now = [loopback(reading).sent.now_per_s for reading in rates]
    last = loopback(rates[-1]).sent
    assert (last.least_per_s, last.most_per_s) == (min(now), max(now))
    assert last.least_per_s < last.average_per_s < last.most_per_s
    assert 0 < rates[-1].memory_used_bytes < rates[-1].memory_bytes
    assert 0 <= rates[-1].cpu_percent <= 100


def test_readings_come_at_their_times_and_end() -> None:
    readings = [*monitor("lo", every_s=0.05, seconds=0.12)]
    assert [reading.watched_s for reading in readings] == sorted(reading.watched_s for reading in readings)
    assert len(readings) == 3
    assert readings[-1].watched_s >= 0.12
    assert len([*monitor("lo", every_s=0.01, once=True)]) == 1


def test_no_name_means_all_that_are_there() -> None:
    (reading,) = monitor(every_s=0.01, once=True)
    assert "lo" in [interface.name for interface in reading.interfaces]


def test_an_unknown_interface_is_said_with_those_that_are_there() -> None:
    with pytest.raises(UsageError, match=r"no interface 'nope0'; this machine has .*lo"):
        monitor("lo", "nope0")


@pytest.mark.parametrize("name", ["every_s", "seconds"])
def test_a_time_that_cannot_be_is_refused_at_the_call(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 0, expected a number of seconds above 0"):
        monitor("lo", **{name: 0})  # type: ignore[arg-type]


def test_without_psutil_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ServiceError, match="pip install psutil"):
        monitor()
