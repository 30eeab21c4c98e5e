"""What `check` proves, and how it names each thing that is wrong; real stores, nothing left behind."""

from __future__ import annotations

import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from matinee.store import Checked, Store, check, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.stack.s3 import Endpoint
    from openstack_services import OpenStack

STEPS = ["reach", "write", "list", "read", "read a part", "replace", "write if new", "delete"]
on_swift = pytest.mark.xdist_group("openstack")
on_seaweed = pytest.mark.xdist_group("s3")


def results(checked: Checked) -> dict[str, str]:
    return {step.name: step.result for step in checked.steps}


def detail(checked: Checked, name: str) -> str:
    return next(step.detail for step in checked.steps if step.name == name)


def test_a_good_store_passes_and_nothing_is_left(store: Store) -> None:
    for was_there in (False, True):
        if was_there:
            store.write("mine/kept", b"mine")
        checked = check(store)
        assert checked.ok, checked
        assert [step.name for step in checked.steps] == STEPS
        conditional = "ok" if checked.kind == "S3" else "not offered"
        assert {**results(checked), "write if new": "ok"} == dict.fromkeys(STEPS, "ok")
        assert results(checked)["write if new"] == conditional
        assert set(store.files("")) == ({"mine/kept"} if was_there else set())


@on_swift
def test_a_container_made_for_the_check_is_removed(container: Callable[..., str], openstack: OpenStack) -> None:
    before = openstack.swift("GET").text.split()
    with open_store(container()) as store:
        checked = check(store)
    assert "is not there, so it is made" in detail(checked, "reach")
    assert openstack.swift("GET").text.split() == before


@on_swift
def test_a_wrong_secret_is_told_from_a_wrong_id_and_from_a_wrong_region(
    container: Callable[..., str], openstack: OpenStack
) -> None:
    secret = "not-the-secret"
    wrong = {
        "id and secret do not belong together": {"application_credential_secret": secret},
        "Keystone knows no such credential": {"application_credential_id": "0" * 32},
        "no object store in that region": {"region": "Nowhere"},
        "no answer": {"auth": "http://127.0.0.1:9/v3"},
        "begins with http or https": {"auth": openstack.auth_url.replace("http:", "https:")},
    }
    for expected, options in wrong.items():
        with open_store(container(**options)) as store:
            checked = check(store)
        assert results(checked) == {"reach": "failed", **dict.fromkeys(STEPS[1:], "not tried")}, expected
        assert expected in detail(checked, "reach")
        assert secret not in str(checked)


@on_swift
def test_a_revoked_credential_is_refused(container: Callable[..., str], openstack: OpenStack) -> None:
    credential = openstack.credential("member")
    address = container(credential)
    with open_store(address) as store:
        assert check(store).ok
        openstack.revoke(credential)
    with open_store(address) as store:
        assert "Keystone knows no such credential" in detail(check(store), "reach")


@on_swift
def test_who_may_only_read_may_not_write(container: Callable[..., str], openstack: OpenStack) -> None:
    name = container().partition(":")[2]
    openstack.swift("PUT", name)
    with open_store(container(openstack.reader, name)) as store:
        checked = check(store)
    assert results(checked) == {"reach": "ok", "write": "failed", **dict.fromkeys(STEPS[2:], "not tried")}
    assert "may look, but not write" in detail(checked, "write")


@on_swift
def test_who_may_not_make_the_container_is_told_so(container: Callable[..., str], openstack: OpenStack) -> None:
    with open_store(container(openstack.reader)) as store:
        checked = check(store)
    assert "is not there, and these keys may not make it" in detail(checked, "write")


@on_swift
def test_an_acl_decides_for_a_guest(container: Callable[..., str], openstack: OpenStack) -> None:
    name = container().partition(":")[2]
    guest = openstack.guest.project_id
    openstack.swift("PUT", name)
    address = container(openstack.guest, name, storage_url=openstack.storage_url)
    with open_store(address) as store:
        assert results(check(store)) == {"reach": "failed", "write": "failed", **dict.fromkeys(STEPS[2:], "not tried")}
        openstack.swift("POST", name, headers={"X-Container-Read": f"{guest}:*"})
        assert "may look, but not write" in detail(check(store), "write")
        openstack.swift("POST", name, headers={"X-Container-Write": f"{guest}:*"})
        assert check(store).ok
        openstack.swift("POST", name, headers={"X-Container-Read": ""})
        assert results(check(store))["write"] == "failed"  # rclone looks before it writes


@on_seaweed
def test_the_three_ways_in_which_s3_keys_are_wrong(on_s3: Endpoint) -> None:
    wrong = {
        "the secret is not that of this access key": (on_s3.access_key, "wrong", on_s3.url),
        "knows no such access key": ("WRONG", "wrong", on_s3.url),
        "no answer": (on_s3.access_key, on_s3.secret_key, "http://127.0.0.1:9"),
    }
    for expected, (key, secret, url) in wrong.items():
        with open_store("s3://matinee/x", endpoint=url, access_key=key, secret_key=secret) as store:
            checked = check(store)
        assert results(checked) == {"reach": "failed", **dict.fromkeys(STEPS[1:], "not tried")}
        assert expected in detail(checked, "reach")


@on_seaweed
def test_a_bucket_that_is_missing_is_made_and_removed(on_s3: Endpoint) -> None:
    del on_s3
    with open_store("s3://a-bucket-for-the-check") as store:
        checked = check(store)
        assert checked.ok, checked
        assert "is not there, so it is made" in detail(checked, "reach")
        assert not store.is_there()


def test_a_folder_that_nobody_may_write_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with open_store(str(tmp_path / "file" / "store")) as store:
        checked = check(store)
    assert not checked.ok
    assert results(checked)["write"] == "failed"


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """An HTTPS server whose certificate nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(hours=1))
    certificate = made.sign(key, hashes.SHA256())
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up, as it should
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with contextlib.closing(server.socket):
            yield f"https://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


def test_a_certificate_that_nobody_signed(self_signed: str) -> None:
    with open_store("s3://bucket", endpoint=self_signed, access_key="K", secret_key="s") as store:
        assert "who signed its certificate" in detail(check(store), "reach")
