"""Copies of what was approved, by digest, below `$SCQ_HOME/approved`: so that `scq diff` can show what changed since.

They are for reading only. What runs is copied and hashed anew from the submission.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection

from scq.context import Context
from scq.digest import copy
from scq.errors import IntegrityError
from scq.files import make_folder, remove_tree, thread_number
from scq.model import Content
from scq.state import Record

YOUNG = 3_600.0
"""Seconds for which a copy that nobody knows of is left alone."""


def keep(ctx: Context, record: Record) -> None:
    """Keep what is being approved. Raises IntegrityError when it is not (any more) what was seen."""
    digest = record.digest or ""
    target = _path(ctx, digest)
    if os.path.isdir(target):
        return
    temporary = f"{target}.{thread_number()}.tmp"
    remove_tree(temporary)
    make_folder(temporary, 0o700)
    content = ctx.layout(record.sighting.ref.layout).content(record.sighting)
    made = copy(ctx.config.root, content, ctx.caps, temporary)
    if made.digest != digest:
        remove_tree(temporary)
        raise IntegrityError(f"{record.id[:8]} is changing while it is approved", f"Look again: scq review {record.id[:8]}")
    try:
        os.rename(temporary, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        remove_tree(temporary)  # another call kept the same content at this moment


def kept(ctx: Context, digest: str) -> Content | None:
    """The files of an approved submission, to be read below `folder(ctx)`; None when no copy is there."""
    if not digest or not os.path.isdir(_path(ctx, digest)):
        return None
    return Content(base=_name(digest), ignore=())


def folder(ctx: Context) -> str:
    """Where the copies lie."""
    return os.path.join(ctx.home, "approved")


def prune(ctx: Context, digests: Collection[str]) -> None:
    """Remove the copies of everything but the given digests. A young one may be of an approval that is just being made."""
    wanted = {_name(digest) for digest in digests}
    if not os.path.isdir(folder(ctx)):
        return
    for name in os.listdir(folder(ctx)):
        path = os.path.join(folder(ctx), name)
        if name not in wanted and ctx.now().timestamp() - os.lstat(path).st_mtime > YOUNG:
            remove_tree(path)


def _path(ctx: Context, digest: str) -> str:
    return os.path.join(folder(ctx), _name(digest))


def _name(digest: str) -> str:
    return digest.replace(":", "-")
