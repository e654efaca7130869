"""Reading messages, oldest first and one at a time: what cannot be read now is kept for the next look, and stops nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq.clean import line
from scq.drive import jobs, messages
from scq.drive.found import Found, is_unopened
from scq.drive.items import File, NotThereError, OutOfTimeError
from scq.drive.names import message_of
from scq.drive.single import present
from scq.errors import BusyError, InvalidFileError
from scq.model import Sighting
from scq.state import RemoteMessage

if TYPE_CHECKING:
    from scq.drive.connection import Drive

TRIES = 3
"""Looks after which a damaged message is given up: it may have been read while it was written."""
STEP = 100
LARGER = "Raise that and call scq check --full, or ask the sender to send less at once."
AGAIN = "Ask the sender to take it back and to send it again."


class Limits(Struct, frozen=True):
    """Bytes of a message as it lies on Drive, and of what is in it."""

    packed: int
    unpacked: int


def read_all(drive: Drive, found: Found, limits: Limits, progress: Callable[[str], None]) -> None:
    """Read what `found` has to be read. When the time is up, the rest stays for the next look."""
    waiting = _in_turn(found)
    later = done = 0
    for number, file in enumerate(waiting):
        if number and number % STEP == 0:
            progress(f"Drive: {number} of {len(waiting)} messages")
        try:
            _read(drive, found, file, limits)
        except OutOfTimeError:
            later += len(waiting) - number
            if not done:
                _put_last(found, waiting[: number + 1])
            break
        except BusyError:
            later += 1
        else:
            done += 1
    if later:
        found.complete = False
        found.say(
            f"{later} of {len(waiting)} messages",
            "they could not be read in the time there is",
            "The next look goes on with them; drive.timeout gives it more time.",
        )


def _in_turn(found: Found) -> list[File]:
    """Oldest first for each sender; the senders take turns, accepted ones before strangers, so that nobody's flood keeps others
    waiting. What could not be read in an earlier look comes last."""
    turns: Counter[str] = Counter()
    order: list[tuple[bool, bool, int, File]] = []
    for file in sorted(found.to_read.values(), key=_order):
        message = found.messages[file.id]
        peer = found.peer_of(message)
        order.append((message.tries > 0, peer not in found.states or found.states[peer] == "rejected", turns[peer], file))
        turns[peer] += 1
    return [file for *_, file in sorted(order, key=lambda row: (*row[:3], _order(row[3])))]


def _put_last(found: Found, files: list[File]) -> None:
    """Nothing at all could be read before the time was up: the next look begins with the others."""
    for file in files:
        message = found.messages[file.id]
        found.messages[file.id] = replace(message, tries=max(message.tries, 1))


def _order(file: File) -> tuple[float, str]:
    """By the number in the name; texts of numbers have their own order."""
    return _number(file), file.id


def _number(file: File) -> float:
    name = message_of(file.name)
    if name is not None:
        return name.seconds
    return file.created_at.timestamp() if file.created_at is not None else 0.0


def _read(drive: Drive, found: Found, file: File, limits: Limits) -> None:
    """One message. Raises BusyError when Drive cannot be asked now."""
    message = found.messages[file.id]
    reason, advice = _refusal(found, file, limits)
    if reason:
        _left(found, file, "jobs")
        if not is_unopened(message):
            _tell(found, file, reason, advice)
        found.messages[file.id] = replace(message, verdict="damaged", tries=0)
        return
    try:
        body = drive.download(file.id, limits.packed)
        _left(found, file)
        if messages.is_sealed(body):
            _tell(found, file, "is encrypted and cannot be read here", "A sync client that holds the keys can read it.")
            found.messages[file.id] = replace(message, verdict="sealed")
            return
        sightings = _jobs_in(body, found, file, limits)
    except NotThereError:
        if present(drive, file.id) is None:
            found.drop_message(file.id)
        else:
            _unreadable(found, file, message, "may not be downloaded")
    except InvalidFileError as error:
        _unreadable(found, file, message, str(error) if str(error).startswith("is damaged") else f"is damaged: it {error}")
    else:
        found.jobs.extend(sightings)
        found.messages[file.id] = replace(message, verdict="jobs" if sightings else "other")


def _left(found: Found, file: File, *verdicts: str) -> None:
    """What an earlier look found in a message is no longer in it. Only now: one that cannot be had takes nothing away."""
    before = found.memory.messages.get(file.id)
    if before is not None and (before.md5 != file.md5 or before.verdict in ("unread", *verdicts)):
        found.gone.add(file.id)


def _jobs_in(body: bytes, found: Found, file: File, limits: Limits) -> list[Sighting]:
    """The jobs of a message. The sender is who owns the file on Drive, whatever the message says."""
    proposal = messages.read(body, limits.unpacked)
    return [
        jobs.sighting(job, owner=found.me, sender=file.owner, message=file) for job in jobs.find(proposal, file.owner, found.me)
    ]


def _refusal(found: Found, file: File, limits: Limits) -> tuple[str, str]:
    """(why a message is not read at all as it is, what to do about it); empty when it is."""
    peer = found.peer_of(found.messages[file.id])
    if file.owner != peer:
        owner = line(file.owner) or "somebody unknown"
        return f"belongs to {owner}, not to the owner of the folder, and does not count", AGAIN
    if message_of(file.name) is None:
        return "has a name that no sync client gives", AGAIN
    if file.is_folder or file.size is None:
        return "is not a plain file", AGAIN
    if file.size > limits.packed:
        return f"is larger than drive.message_bytes ({file.size} bytes)", LARGER
    return "", ""


def _unreadable(found: Found, file: File, message: RemoteMessage, reason: str) -> None:
    """A message that cannot be read now: tried again in the next looks, then given up."""
    tries = message.tries + 1
    if tries >= TRIES:
        _tell(found, file, reason, AGAIN)
    found.messages[file.id] = replace(message, verdict="damaged" if tries >= TRIES else "unread", tries=tries)


def _tell(found: Found, file: File, what: str, advice: str) -> None:
    peer = found.peer_of(found.messages[file.id])
    found.say(f"message from {peer}", f"the one sent {_when(file)} {what} ({line(file.name, 80)})", advice)


def _when(file: File) -> str:
    name = message_of(file.name)
    at: datetime | None = (name.at if name is not None else None) or file.created_at
    return f"on {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at is not None else "at an unknown time"
