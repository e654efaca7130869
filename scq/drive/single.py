"""One file, asked for by its id: listings of Drive lag behind, this does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scq.drive.items import File, NotThereError

if TYPE_CHECKING:
    from scq.drive.connection import Drive


def present(drive: Drive, key: str) -> File | None:
    """The file or folder as it is now; None when it is gone, trashed, or out of sight."""
    try:
        file = drive.file(key)
    except NotThereError:
        return None
    return None if file.trashed else file
