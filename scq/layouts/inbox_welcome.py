"""Room for an accepted peer in the owner's datasite: the folders and permission files that let him submit jobs.

    <owner>/app_data/job/inbox/<peer>/syft.pub.yaml     he may write below it
    <owner>/app_data/job/review/<peer>/syft.pub.yaml    he may read below it, unless a job's own file says less

As syft-job 0.1.28-0.1.40 makes them when a peer is accepted. scq always writes into the peer's own folders, also where a
permission file further up exists: the nearest decides.
"""

from __future__ import annotations

import os

from scq.access import Rules, is_plain
from scq.errors import ConfigError, UsageError
from scq.files import read_text
from scq.formats import parse_yaml
from scq.layouts.inbox_paths import queue_path
from scq.layouts.writing import safe_folder
from scq.permissions import FILE_NAME, grant

EVERYTHING = "**"


def welcome(root: str, owner: str, submitter: str) -> None:
    """Make the two folders of a peer and grant him what he needs; rules that are there stay. Idempotent.

    `root` is the absolute path of the SyftBox folder. Raises UsageError for what is no address, IntegrityError for a link
    on the way, InvalidFileError for a damaged permission file of his, ConfigError when one further up forbids it all the same,
    OSError from the disk.
    """
    for address in (owner, submitter):
        if not is_plain(address) or address.startswith("."):
            raise UsageError(f"{address!r}: is not an address", "Give the e-mail address of the peer.")
    queue = queue_path(owner)
    inbox, review = (safe_folder(root, f"{queue}/{side}/{submitter}") for side in ("inbox", "review"))
    for folder in (inbox, review):
        _check_sound(f"{folder}/{FILE_NAME}")
    grant(inbox, EVERYTHING, submitter, "write")
    grant(review, EVERYTHING, submitter, "read")
    rules = Rules(f"{root}/{owner}", owner)
    inside = queue.removeprefix(f"{owner}/")
    opened = rules.may(f"{inside}/inbox/{submitter}", submitter, "write")
    if not opened or not rules.may(f"{inside}/review/{submitter}", submitter, "read"):
        what = f"{root}/{queue}: {submitter} may not use the folders made for him, because a {FILE_NAME} above forbids it"
        raise ConfigError(what, "Look for one that is damaged or says `terminal: true`.")


def _check_sound(path: str) -> None:
    """What a damaged permission file was to close, nobody knows: it is not written over."""
    if os.path.lexists(path) and (text := read_text(path)).strip():
        parse_yaml(text, path)
