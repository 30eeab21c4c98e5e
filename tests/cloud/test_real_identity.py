"""Login and container on a real Keystone and a real Swift; the double asks that Keystone about each token."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import matinee.cloud
from matinee.errors import CloudConflictError, CloudDeniedError, CloudUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from double import Double

    from matinee.settings import Settings
    from openstack_services import Credential, OpenStack

    Real = Callable[..., Settings]

pytestmark = pytest.mark.xdist_group("openstack")

_NUMBERS = itertools.count()


@pytest.fixture
def real(
    openstack: OpenStack,
    kvm: Double,
    machine: Callable[..., Settings],
    clouds_yaml: Callable[..., Path],
) -> Real:
    """Settings for one cloud whose Keystone and Swift are real and whose other services are the double's."""

    def is_good(token: str) -> bool:
        headers = {"X-Auth-Token": token, "X-Subject-Token": token}
        return httpx.get(f"{openstack.auth_url}/auth/tokens", headers=headers, trust_env=False).is_success

    kvm.validate_token = is_good
    kvm.project = openstack.owner.project_id
    endpoints = kvm.endpoints()
    container = f"versions-{next(_NUMBERS)}"

    def make(credential: Credential | None = None, secret: str | None = None, **changes: Any) -> Settings:
        who = credential or openstack.owner
        auth = {
            "auth_url": openstack.auth_url,
            "application_credential_id": who.id,
            "application_credential_secret": secret or who.secret,
        }
        entry = kvm.entry(
            auth=auth,
            region_name=openstack.region,
            compute_endpoint_override=endpoints["compute"],
            block_storage_endpoint_override=endpoints["volumev3"],
            network_endpoint_override=endpoints["network"],
            image_endpoint_override=endpoints["image"],
        )
        settings = machine(**{"cloud": "real", "object_cloud": None, "container": container} | changes)
        clouds_yaml(real=entry)
        return settings

    return make


def test_the_whole_life_of_a_container(real: Real, openstack: OpenStack, kvm: Double) -> None:
    settings = real()
    name = settings.cloud.container
    assert name is not None
    first = matinee.cloud.up(settings=settings)
    assert first is not None
    assert first.container is not None
    assert (first.container.name, first.container.objects) == (name, 0)
    assert openstack.swift("HEAD", name).headers["X-Container-Meta-Matinee"] == "matinee"
    for number in range(3):
        openstack.swift("PUT", f"{name}/versions/a b/{number}.txt", content=b"12345")
    openstack.swift("PUT", f"{name}_segments")
    openstack.swift("PUT", f"{name}_segments/big/1", content=b"x" * 100)
    openstack.swift("PUT", f"{name}/big", headers={"X-Object-Manifest": f"{name}_segments/big/"})
    assert matinee.cloud.plan(settings=settings).changes == 0
    kept = matinee.cloud.down(settings=settings)
    assert kept is not None
    assert len(openstack.objects(name)) == 4
    matinee.cloud.down(settings=settings, delete_container=name)
    assert openstack.swift("HEAD", name).status_code == openstack.swift("HEAD", f"{name}_segments").status_code == 404
    assert matinee.cloud.status(settings=settings).container is None
    assert kvm.containers == {}


def test_a_container_made_by_hand_is_used_and_never_deleted(
    real: Real,
    openstack: OpenStack,
) -> None:
    settings = real()
    name = settings.cloud.container
    assert name is not None
    openstack.swift("PUT", name)
    matinee.cloud.up(settings=settings)
    assert "X-Container-Meta-Matinee" not in openstack.swift("HEAD", name).headers
    with pytest.raises(CloudConflictError, match=r"was not made by 'matinee cloud', so it does not delete it"):
        matinee.cloud.down(settings=settings, delete_container=name)
    assert openstack.swift("HEAD", name).status_code == 204


def test_a_wrong_secret(real: Real) -> None:
    with pytest.raises(CloudDeniedError, match=r"real: asking for a token: 401, the credential is wrong, expired or"):
        matinee.cloud.plan(settings=real(secret="wrong"))


def test_a_deleted_credential(real: Real, openstack: OpenStack) -> None:
    credential = openstack.credential("member")
    settings = real(credential)
    matinee.cloud.plan(settings=settings)
    openstack.revoke(credential)
    with pytest.raises(CloudDeniedError, match=r"404, the credential is wrong, expired or deleted .* entry 'real' of "):
        matinee.cloud.plan(settings=settings)


def test_a_credential_that_is_deleted_between_plan_and_up(real: Real, openstack: OpenStack) -> None:
    credential = openstack.credential("member")
    settings = real(credential)
    with pytest.raises(CloudDeniedError, match=r"real: creating key pair 'matinee': 40[14], the credential is wrong"):
        matinee.cloud.up(settings=settings, confirm=lambda _: openstack.revoke(credential) is None)


def test_tokens_that_expire_between_plan_and_up(real: Real, openstack: OpenStack) -> None:
    done = matinee.cloud.up(settings=real(), confirm=lambda _: openstack.revoke_tokens() is None)
    assert done is not None
    assert done.container is not None


def test_a_credential_that_may_only_read(real: Real, openstack: OpenStack) -> None:
    with pytest.raises(CloudDeniedError, match=r"real: creating container 'versions-\d+': 403, this credential"):
        matinee.cloud.up(settings=real(openstack.reader))


def test_an_object_store_that_dies_and_comes_back(real: Real, openstack: OpenStack) -> None:
    settings = real()
    openstack.kill("proxy")
    try:
        with pytest.raises(CloudUnreachableError, match=r"real: looking for container 'versions-\d+': the connection"):
            matinee.cloud.up(settings=settings)
    finally:
        openstack.start("proxy")
    assert matinee.cloud.up(settings=settings) is not None
