"""The files of a job that lies on Google Drive only, read from its message and from nowhere else. Nothing is written to disk."""

from __future__ import annotations

import hashlib

from scq.context import Context
from scq.errors import BusyError, InvalidFileError
from scq.model import FileEntry, Sighting


def files(ctx: Context, sighting: Sighting) -> dict[str, bytes]:
    """Content by path relative to the job, from the newest message that still can be read.

    Raises BusyError when Drive is not used any more or the messages are gone, InvalidFileError when none of them can be read,
    and what a sign-in raises.
    """
    from scq.drive import jobs, messages
    from scq.drive.items import File, NotThereError
    from scq.drive.poll import check_account
    from scq.signin.accounts import identity

    if not ctx.uses_drive():
        raise BusyError("Google Drive is not looked at any more (drive.use)", "The job lies there only.")
    damage: InvalidFileError | None = None
    known = ctx.store.load().drive
    with ctx.drive() as drive:
        if (known.account, known.sign_in) != (ctx.config.email, identity(ctx.config.drive_token_path, ctx.config.email)):
            check_account(drive, ctx.config.email)
        for message in sighting.messages:
            try:
                body = drive.download(message, ctx.config.drive.message_bytes)
                proposal = messages.read(body, ctx.config.drive.unpacked_bytes)
            except NotThereError:
                continue
            except InvalidFileError as error:
                damage = InvalidFileError(f"the message with {sighting.name!a} {error}", error.advice)
                continue
            for job in jobs.find(proposal, sighting.submitter, ctx.config.email):
                shown = jobs.sighting(job, owner=sighting.owner, sender=sighting.submitter, message=File(message, ""))
                if shown.ref == sighting.ref:
                    return jobs.files_of(proposal, job)
    raise damage or BusyError(
        f"the message with {sighting.name!a} is no longer on Google Drive", "scq check shows where the job is now."
    )


def entry(path: str, content: bytes) -> FileEntry:
    """A file of a message, as the list of a submission names it."""
    return FileEntry(path, path == "run.sh", len(content), hashlib.sha256(content).hexdigest())
