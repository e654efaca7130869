"""What is known of an account's Drive while one look is at work: it begins as what was remembered. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from scq.clean import line
from scq.drive.items import File
from scq.drive.names import folder_of
from scq.model import Problem, Sighting
from scq.state import DriveMemory, RemoteFolder, RemoteMessage

MESSAGE_PREFIX = "msgv2_"
PLACE = "Google Drive"


def is_unopened(message: RemoteMessage) -> bool:
    """True for a message that was given up for its size, name or owner; that is looked at again whenever it is listed."""
    return message.verdict == "damaged" and message.tries == 0


class Found:
    """`me` is the owner's address, lower case. Nothing leaves `folders` or `messages` but by the methods below."""

    def __init__(self, me: str, memory: DriveMemory) -> None:
        self.me = me
        self.memory = memory
        self.folders = dict(memory.folders)
        self.messages = dict(memory.messages)
        self.peers_file = memory.peers_file
        self.peers_md5 = memory.peers_md5
        self.states = dict(memory.states)
        self.missed = memory.missed
        self.answers_known = not memory.peers_file or bool(memory.peers_md5 or memory.states)
        """False while there is a list of answers and it could never be read."""
        self.to_read: dict[str, File] = {}
        """Messages that are new, changed, or could not be read so far, by id."""
        self.jobs: list[Sighting] = []
        self.gone: set[str] = set()
        """Messages that are in no inbox any more, or not what they were."""
        self.foreign: list[str] = []
        self.problems: list[Problem] = []
        self.covered = True
        """Everything that was listed is in here, so that the place in the list of changes may move on."""
        self.complete = True
        """Nothing had to be left out."""

    def inboxes(self) -> tuple[str, ...]:
        return tuple(sorted(key for key, folder in self.folders.items() if folder.kind == "inbox"))

    def is_inbox(self, key: str) -> bool:
        return key in self.folders and self.folders[key].kind == "inbox"

    def say(self, about: str, what: str, advice: str = "") -> None:
        self.problems.append(Problem(f"{PLACE}: {line(about, 120)}", what, advice))

    def take_folder(self, file: File) -> bool:
        """A folder as it is now. True for an inbox that was not known and has to be listed.

        One whose name does not fit its owner was made by somebody in another one's name: it is said and left out.
        """
        known = self.folders.get(file.id)
        name = folder_of(file.name, self.me) if file.is_folder and not file.trashed else None
        if name is None or file.owner != name.peer.lower():
            if known is not None:
                self.drop_folder(file.id)
            if name is not None and file.owner != self.me:
                owner = line(file.owner) or "somebody unknown"
                self.say(
                    file.name,
                    f"this folder belongs to {owner}, not to the address in its name, and was left out",
                    "Nothing in it counts. Remove it from what is shared with you if you did not expect it.",
                )
            return False
        self.folders[file.id] = RemoteFolder(
            name=file.name, kind=name.kind, peer=file.owner, version=name.version, created_at=file.created_at
        )
        return name.kind == "inbox" and (known is None or known.kind != "inbox")

    def drop_folder(self, key: str) -> None:
        """A folder that is gone, with all that was in it."""
        if self.folders.pop(key, None) is not None:
            for message in [name for name, known in self.messages.items() if known.folder == key]:
                self.drop_message(message)

    def take_message(self, file: File) -> None:
        """A message as it is now; one that is in no inbox (any more) is gone."""
        inboxes = [key for key in file.parents if self.is_inbox(key)]
        folder = next((key for key in inboxes if self.folders[key].peer == file.owner), inboxes[0] if inboxes else "")
        if not folder or file.trashed or not file.name.startswith(MESSAGE_PREFIX):
            self.drop_message(file.id)
            return
        known = self.messages.get(file.id)
        if known is None or known.md5 != file.md5:
            known = RemoteMessage(folder=folder, name=file.name, md5=file.md5)
        elif (known.folder, known.name) != (folder, file.name):
            known = replace(known, folder=folder, name=file.name, verdict="unread", tries=0)
        self.messages[file.id] = known
        if known.verdict == "unread" or is_unopened(known):
            self.to_read[file.id] = file

    def drop_message(self, key: str) -> None:
        """A message that is in no inbox any more. Nothing happens for one that was not known."""
        self.to_read.pop(key, None)
        if self.messages.pop(key, None) is not None:
            self.gone.add(key)

    def peer_of(self, message: RemoteMessage) -> str:
        return self.folders[message.folder].peer

    def unread_inboxes(self) -> set[str]:
        """Inboxes with messages that still have to be read and were not told of in this look."""
        return {
            message.folder for key, message in self.messages.items() if message.verdict == "unread" and key not in self.to_read
        }

    def forget_given_up(self) -> None:
        """Messages that were given up count as unread, with one more look at them before that is told again."""
        for key, message in self.messages.items():
            if message.verdict == "damaged":
                self.messages[key] = replace(message, verdict="unread")

    def set_states(self, file: str, md5: str, states: Iterable[tuple[str, str]]) -> None:
        """What the owner's own list of answers says now."""
        self.peers_file, self.peers_md5, self.states = file, md5, dict(states)
        self.answers_known = True

    def lack_states(self, file: str) -> None:
        """The list could not be read: what it said before still holds, if it was ever read."""
        if not self.peers_md5 and not self.states:
            self.peers_file, self.answers_known = file, False
