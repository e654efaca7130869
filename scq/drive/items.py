"""What Drive says about files, with everything checked that a stranger can choose."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from scq.errors import BusyError, ScqError

FOLDER = "application/vnd.google-apps.folder"


class File(Struct, frozen=True):
    """A file or folder. `owners` are lower-case addresses, times aware UTC; `parents` may be missing where they are others'."""

    id: str
    name: str
    owners: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    is_folder: bool = False
    size: int | None = None
    """Bytes, None for folders."""
    md5: str = ""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    trashed: bool = False

    @property
    def owner(self) -> str:
        """The one owner; empty when there is none or more than one."""
        return self.owners[0] if len(self.owners) == 1 else ""


class Listing(Struct, frozen=True):
    """The answer to a search. `complete` is False when Drive says that it has not searched everything."""

    files: tuple[File, ...]
    complete: bool = True


class Change(Struct, frozen=True):
    """What became of one file: as it is now, or None when it was removed or is out of sight."""

    id: str
    file: File | None


class StaleTokenError(ScqError):
    """Drive no longer knows the place in its list of changes: everything has to be listed again."""


class NotThereError(ScqError):
    """The file is gone, or this account may not do that with it."""


class OutOfTimeError(BusyError):
    """The time for one look is used up."""
