"""Where the keys of a new remote come from: options, the environment, clouds.yaml, a file, a question; never argv."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Given", "Type", "remote_settings"]

Type = Literal["swift", "s3"]

_AMAZON: Final = ".amazonaws.com"
_MAKE_ONE: Final = "make one in the cloud's dashboard under Identity, Application Credentials"


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller said about a new remote; None leaves it to the environment or to clouds.yaml."""

    cloud: str | None = None
    auth_url: str | None = None
    endpoint: str | None = None
    region: str | None = None
    provider: str | None = None
    key_id: str | None = None
    secret_file: Path | None = None
    ask: Callable[[str], str] | None = field(default=None, repr=False)


def remote_settings(kind: Type, given: Given) -> dict[str, str]:
    """The settings of an rclone remote, secrets among them.

    Raises:
        UsageError: something is missing, and where it could be said.
    """
    return _swift(given) if kind == "swift" else _s3(given)


def _swift(given: Given) -> dict[str, str]:
    if given.endpoint or given.provider:
        raise UsageError("--endpoint and --provider are for --type s3; a Swift is found by --cloud or --auth-url")
    cloud = given.cloud or os.environ.get("OS_CLOUD")
    said = _from_clouds_yaml(cloud) if cloud else _from_environment()
    where = f"cloud {cloud} of clouds.yaml" if cloud else "the environment (OS_AUTH_URL, ...)"
    auth_url = given.auth_url or said["auth_url"]
    key_id = given.key_id or said["application_credential_id"]
    if not auth_url:
        raise UsageError(f"--auth-url: the address of Keystone is in neither option nor {where}; name a --cloud")
    if not key_id:
        raise UsageError(f"--key-id: no application credential in option or {where}; {_MAKE_ONE}")
    known = said["application_credential_secret"] if key_id == said["application_credential_id"] else ""
    settings = {
        "auth": auth_url if re.search(r"/v\d[^/]*/?$", auth_url) else auth_url.rstrip("/") + "/v3",
        "auth_version": "3",
        "endpoint_type": "public",
        "region": given.region or said["region"],
        "application_credential_id": key_id,
        "application_credential_secret": _secret(given, known, "OS_APPLICATION_CREDENTIAL_SECRET"),
    }
    return {key: value for key, value in settings.items() if value}


def _from_environment() -> dict[str, str]:
    names = {
        "auth_url": "OS_AUTH_URL",
        "region": "OS_REGION_NAME",
        "application_credential_id": "OS_APPLICATION_CREDENTIAL_ID",
        "application_credential_secret": "OS_APPLICATION_CREDENTIAL_SECRET",
    }
    return {key: os.environ.get(name, "") for key, name in names.items()}


def _from_clouds_yaml(cloud: str) -> dict[str, str]:
    """One cloud of clouds.yaml and secure.yaml, found and merged as every OpenStack client does."""
    try:
        # Only this reader of it; all else that knows the SDK lives in the room of the cloud.
        from openstack import config, exceptions  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            f"--cloud {cloud}: openstacksdk reads clouds.yaml: 'pip install matinee[cloud]', or pass --auth-url"
        ) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # about services that nobody asked for
            found: dict[str, Any] = config.OpenStackConfig().get_one(cloud, validate=False).config
    except exceptions.ConfigException as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise UsageError(f"--cloud {cloud}: {said}; clouds.yaml lies here or in ~/.config/openstack") from None
    auth = found.get("auth") or {}
    if not auth.get("application_credential_id"):
        raise UsageError(
            f"--cloud {cloud}: has no application credential in clouds.yaml, and a password is not copied; {_MAKE_ONE}"
        )
    return {
        "auth_url": str(auth.get("auth_url") or ""),
        "region": str(found.get("region_name") or ""),
        "application_credential_id": str(auth["application_credential_id"]),
        "application_credential_secret": str(auth.get("application_credential_secret") or ""),
    }


def _s3(given: Given) -> dict[str, str]:
    if given.cloud or given.auth_url:
        raise UsageError("--cloud and --auth-url are for --type swift; an S3 is found by --endpoint")
    variables = os.environ
    endpoint = given.endpoint or variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or ""
    region = given.region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or ""
    provider = given.provider or ("AWS" if _AMAZON in endpoint else "Other")
    key_id = given.key_id or variables.get("AWS_ACCESS_KEY_ID") or ""
    if provider == "AWS" and not region:
        raise UsageError("--region: Amazon's S3 needs one, for example us-east-1; pass it or set AWS_REGION")
    if provider != "AWS" and not endpoint:
        raise UsageError(
            "--endpoint: the address of the S3 service, like https://s3.example.org, is in neither option nor "
            "AWS_ENDPOINT_URL; for Amazon's own pass --provider AWS"
        )
    if not key_id:
        raise UsageError("--key-id: no access key in option or AWS_ACCESS_KEY_ID")
    known = variables.get("AWS_SECRET_ACCESS_KEY", "") if key_id == variables.get("AWS_ACCESS_KEY_ID", key_id) else ""
    settings = {
        "provider": provider,
        "env_auth": "false",
        "endpoint": endpoint,
        "region": region,
        "access_key_id": key_id,
        "secret_access_key": _secret(given, known, "AWS_SECRET_ACCESS_KEY"),
    }
    return {key: value for key, value in settings.items() if value}


def _secret(given: Given, known: str, variable: str) -> str:
    """The secret: of the file, else the one that belongs to the key already, else whoever can be asked."""
    if given.secret_file is not None:
        try:
            text = given.secret_file.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--secret-file {given.secret_file}: cannot be read ({error})") from None
        if not text or "\n" in text:
            raise UsageError(f"--secret-file {given.secret_file}: expected the secret alone, on one line")
        return text
    secret = known or os.environ.get(variable, "") or (given.ask("Secret: ") if given.ask else "")
    if not secret:
        raise UsageError(f"the secret is in neither --secret-file nor {variable}; it is never taken as an argument")
    return secret
