"""What the stack must know again tomorrow: its ports and credentials, in one file that only its owner can read."""

from __future__ import annotations

import ipaddress
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Self

from matinee.errors import ServiceError
from matinee.stack.endpoint import Endpoint, Ports, find_port, free_ports, write_private

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DATABASE", "FORMAT", "LOOPBACK", "StackState", "in_url"]

FORMAT: Final = 1
DATABASE: Final = "matinee"  # versions, people and items, what a live system tells back
LOOPBACK: Final = "127.0.0.1"
_ANY: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True, slots=True)
class StackState:
    """Ports and credentials of one data folder's stack; made at the first start, the same ever after.

    Attributes:
        listen: the address that Postgres, MLflow and Jupyter listen on; S3 and its parts stay on the loopback.
        s3_open_port: where S3 is reached from elsewhere, when `listen` is not the loopback.
    """

    postgres_port: int
    postgres_password: str = field(repr=False)
    s3_ports: Ports
    s3_open_port: int
    s3_access_key: str
    s3_secret_key: str = field(repr=False)
    mlflow_port: int
    jupyter_port: int
    jupyter_token: str = field(repr=False)
    listen: str = LOOPBACK

    @property
    def host(self) -> str:
        """The address at which this machine reaches what listens on `listen`."""
        return _ANY.get(self.listen, self.listen)

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return not ipaddress.ip_address(self.listen).is_loopback

    @property
    def s3(self) -> Endpoint:
        """S3 as reached from this machine."""
        return Endpoint(f"http://{LOOPBACK}:{self.s3_ports.s3}", self.s3_access_key, self.s3_secret_key)

    @property
    def postgres_url(self) -> str:
        """The database `matinee`, with its password."""
        return self.database_url(DATABASE)

    def database_url(self, name: str) -> str:
        """Any database, with the password."""
        from matinee.stack.postgres import address  # noqa: PLC0415 - brings psycopg, which may not be installed

        return address(self.postgres_port, self.postgres_password, name, host=in_url(self.host))

    @property
    def mlflow_url(self) -> str:
        """MLflow as reached from this machine."""
        return f"http://{in_url(self.host)}:{self.mlflow_port}"

    @property
    def jupyter_url(self) -> str:
        """Jupyter as reached from this machine, without its token."""
        return f"http://{in_url(self.host)}:{self.jupyter_port}"

    @property
    def jupyter_login_url(self) -> str:
        """Jupyter with its token, which lets in whoever opens it."""
        return f"{self.jupyter_url}/lab?token={self.jupyter_token}"

    @classmethod
    def make(cls) -> Self:
        """Random credentials, and ports that are free now."""
        s3_ports = free_ports()
        taken = set(asdict(s3_ports).values())
        found = [find_port(taken) for _ in range(4)]
        return cls(
            postgres_port=found[0],
            postgres_password=secrets.token_urlsafe(30),
            s3_ports=s3_ports,
            s3_open_port=found[1],
            s3_access_key=secrets.token_hex(10).upper(),
            s3_secret_key=secrets.token_urlsafe(30),
            mlflow_port=found[2],
            jupyter_port=found[3],
            jupyter_token=secrets.token_urlsafe(30),
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What the file at `path` remembers; None where there is none yet.

        Raises:
            ServiceError: the file is of a newer Matinee, or damaged.
        """
        try:
            plain = json.loads(path.read_bytes())
            number = plain.pop("format")
            if number > FORMAT:
                raise ServiceError(
                    f"{path}: format {number}, this Matinee knows up to {FORMAT}; upgrade Matinee to use this folder"
                )
            return cls(**plain | {"s3_ports": Ports(**plain["s3_ports"])})
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ServiceError(
                f"{path}: {error.strerror}; the stack belongs to another user, run as that one"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServiceError(
                f"{path}: cannot be read ({error!r}); without its credentials the data beside it stays locked: put it "
                "back from a copy, or move the whole folder away to begin anew"
            ) from None

    def write(self, path: Path) -> Self:
        """Remember it at `path`, whole or not at all."""
        write_private(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")
        return self


def in_url(host: str) -> str:
    """An address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
