"""The key pair: the public half of the user's SSH key, as the cloud knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.cloud.failures import told
from matinee.errors import CloudConflictError, UsageError

if TYPE_CHECKING:
    from openstack.compute.v2.keypair import Keypair

    from matinee.cloud.clouds import Cloud
    from matinee.cloud.wanted import Wanted

__all__ = ["create_key_pair", "find_key_pair", "read_public_key"]

_USUAL: Final = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


def find_key_pair(cloud: Cloud, want: Wanted) -> Keypair | None:
    """The key pair of that name; None where there is none.

    Raises:
        CloudConflictError: it is another key than the one in `public_key`.
    """
    with told(cloud.name, f"looking for key pair {want.key_pair!r}"):
        found = cloud.connection.compute.find_keypair(want.key_pair, ignore_missing=True)
    if found is not None and want.public_key is not None and _blob(found.public_key) != _blob(_read(want.public_key)):
        raise CloudConflictError(
            f"{cloud.name}: key pair {want.key_pair!r} is not the key in {want.public_key}; set another key_pair or "
            "public_key in [cloud]"
        )
    return found


def read_public_key(want: Wanted) -> str:
    """The text of the public key that a new key pair is made from.

    Raises:
        UsageError: there is none, or it is not one.
    """
    if want.public_key is not None:
        return _read(want.public_key)
    folder = Path.home() / ".ssh"
    for name in _USUAL:
        if (folder / name).is_file():
            return _read(folder / name)
    raise UsageError(
        f"no public key in {folder} ({', '.join(_USUAL)}); make one with 'ssh-keygen -t ed25519', or set public_key in "
        "[cloud]"
    )


def create_key_pair(cloud: Cloud, want: Wanted) -> None:
    """Give the cloud the public key."""
    with told(cloud.name, f"creating key pair {want.key_pair!r}"):
        cloud.connection.compute.create_keypair(name=want.key_pair, public_key=read_public_key(want))


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the public key cannot be read ({error}); set public_key in [cloud]") from None
    if len(text.split()) < 2 or "PRIVATE KEY" in text:
        raise UsageError(f"{path}: expected a public SSH key ('ssh-ed25519 AAAA...'), found something else")
    return text


def _blob(public_key: str) -> list[str]:
    """Kind and key, without the comment."""
    return public_key.split()[:2]
