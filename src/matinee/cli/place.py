"""Which store and which data folder a command means: its options first, the settings of the machine second."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from cyclopts import Group, Parameter

from matinee.settings import Settings, read_settings

__all__ = ["DEFAULT_PLACE", "Place", "Where", "data_folder"]


class Where(TypedDict):
    """What the functions behind the commands take."""

    store: str | None
    endpoint: str | None
    data_dir: Path


@Parameter(name="*", group=Group("Store", sort_key=50))
@dataclass(frozen=True)
class Place:
    """The options that say where published versions are."""

    store: str | None = None
    """A folder, an rclone remote:path, or s3://bucket; by default the embedded store of the data folder."""

    endpoint: str | None = None
    """The address of the S3 service for s3://bucket; keys come from the environment."""

    data_dir: Path | None = None
    """The data folder, with the embedded store in it; by default matinee-data."""

    def settled(self, settings: Settings | None = None) -> Where:
        """The options, filled up from the settings of the machine."""
        settings = settings or read_settings()
        return {
            "store": self.store or settings.store,
            "endpoint": self.endpoint or settings.endpoint,
            "data_dir": self.data_dir or settings.data_dir,
        }


DEFAULT_PLACE = Place()


def data_folder(option: Path | None) -> Path:
    """The data folder of a command that has no store to choose."""
    return option or read_settings().data_dir
