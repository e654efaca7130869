"""What to do about a machine that cannot do what it was asked: a full disk, missing rights, a folder that is away."""

from __future__ import annotations

import errno

_ROOM = "Make room on that disk, then call again; what was stored before is as it was."
_RIGHTS = "Check who owns it and whether it may be written; `scq doctor` looks at every folder scq needs."
_PLACE = "Check the path: it must lie in a folder, and a folder must not be a file."
_DISK = "Check the disk or the network folder, then call again."
TROUBLE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: _PLACE,
    errno.EISDIR: _PLACE,
    errno.EEXIST: _PLACE,
    errno.ELOOP: _PLACE,
    errno.ENAMETOOLONG: _PLACE,
    errno.EIO: _DISK,
    errno.ESTALE: _DISK,
    errno.ENOTCONN: _DISK,
    errno.ENOLCK: _DISK,
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
    errno.ENFILE: "Too many files are open on this machine; end something, then call again.",
    errno.ENOMEM: "Free some memory, then call again.",
}


def advice_on(error: OSError) -> str | None:
    """What to do about an error of the operating system; None for one that is a bug of scq."""
    return TROUBLE.get(error.errno or 0)


def words_of(error: OSError) -> str:
    """The error as one line that names the file, if it has one."""
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror)
