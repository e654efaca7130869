"""Messages as notifications on the desktop of this account, also from cron, where nothing says which desktop that is.

Linux: notify-send (libnotify) over the session bus; what it shows follows the Desktop Notifications Specification 1.2. macOS:
osascript.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping

from scq import clean
from scq.channels import programs
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message, Receipt

TIMEOUT_S = 10.0
BODY_LIMIT = 1000
"""Characters of the text that are shown; a notification is no place for more."""
RUNTIME = "/run/user"
PROC = "/proc"
SESSIONS = frozenset(
    (
        *("cinnamon-sessio", "dbus-broker", "dbus-daemon", "gnome-session-b", "gnome-shell", "gsd-power", "hyprland", "i3"),
        *("kwin_wayland", "kwin_x11", "ksmserver", "lxqt-session", "lxsession", "mate-session", "plasmashell"),
        *("startplasma-way", "startplasma-x11", "sway", "xfce4-session", "xfwm4"),
    )
)
"""Programs that belong to a desktop, as /proc/<pid>/comm names them (15 characters at most)."""
_SOCKET = re.compile(r"unix:(path|abstract)=([^,;]+)(?:,guid=[0-9a-f]*)?")
"""A D-Bus address that is a socket. Other kinds can start a program, so none is ever taken from another process."""
_APPLESCRIPT = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")


class DesktopChannel:
    """Shows title and text; errors and worse ones stay until they are closed."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.env = place.env

    def usable(self) -> str:
        """Not usable without the program that shows notifications, or when this account has no desktop now."""
        program = "osascript" if sys.platform == "darwin" else "notify-send"
        if not programs.find(program, self.env):
            return f"{program} is not installed"
        if sys.platform != "darwin" and not session_bus(self.env):
            return "this account has no desktop session on this machine"
        return ""

    def send(self, message: Message) -> Receipt:
        """Show the notification. Raises ChannelError."""
        if reason := self.usable():
            raise ChannelError(reason, "Sign in to the desktop, or use another channel.")
        title = clean.line(message.subject) or "scq"
        body = clean.block(message.text).strip()
        body = body if len(body) <= BODY_LIMIT else body[: BODY_LIMIT - 1] + "…"
        command = osascript(title, body) if sys.platform == "darwin" else notify_send(title, body, message.level)
        program = programs.find(command[0], self.env)
        ended = programs.run((program, *command[1:]), self._environment(), timeout_s=TIMEOUT_S)
        if ended.status:
            raise ChannelError(f"{command[0]}: {ended.said}", "Check that the desktop shows notifications.")
        return Receipt("shown on the desktop")

    def _environment(self) -> dict[str, str]:
        # The program reads its arguments in the encoding of its locale, and cron sets none.
        kept = programs.environment(self.env, "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR") | {"LC_ALL": "C.UTF-8"}
        return kept if sys.platform == "darwin" else kept | {"DBUS_SESSION_BUS_ADDRESS": session_bus(self.env)}


def notify_send(title: str, body: str, level: str) -> tuple[str, ...]:
    """The command on Linux. The program turns escapes that begin with a backslash in the body into characters, and the desktop
    then reads the body as markup, so both are escaped."""
    urgency = "critical" if level in ("error", "critical") else "normal"
    shown = body.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return ("notify-send", "-u", urgency, "-a", "scq", "--", title, shown)


def osascript(title: str, body: str) -> tuple[str, ...]:
    """The command on macOS: the words are arguments of the script and never part of it."""
    return ("osascript", *(word for line in _APPLESCRIPT for word in ("-e", line)), "--", title, body)


def session_bus(env: Mapping[str, str]) -> str:
    """Address of the session bus of this account's desktop: as the environment says, at its usual place, or as a program of the
    desktop has it in its own environment. Empty when there is none."""
    usual = f"{RUNTIME}/{os.geteuid()}/bus"
    if env.get("DBUS_SESSION_BUS_ADDRESS"):
        return env["DBUS_SESSION_BUS_ADDRESS"]
    return f"unix:path={usual}" if _own_socket(usual) else next(_buses_of_programs(), "")


def _buses_of_programs() -> Iterator[str]:
    names = os.listdir(PROC) if os.path.isdir(PROC) else []
    for pid in sorted((int(name) for name in names if name.isdecimal()), reverse=True):
        address = _bus_of(f"{PROC}/{pid}")
        if _is_safe(address):
            yield address


def _bus_of(process: str) -> str:
    """The bus in the environment of a process; empty unless it is a program of the desktop and of this account.

    A process in a mount or user namespace of its own, such as a job in its box, is never believed.
    """
    try:
        if os.stat(process).st_uid != os.geteuid() or _namespaces(process) != _namespaces(f"{PROC}/self"):
            return ""
        with open(f"{process}/comm", encoding="utf-8", errors="replace") as file:
            if file.readline().rstrip("\n") not in SESSIONS:
                return ""
        with open(f"{process}/environ", "rb") as file:
            variables = file.read(1 << 20).split(b"\0")
    except OSError:
        # It ended meanwhile, or hides its environment.
        return ""
    values = (
        value for name, _, value in (variable.partition(b"=") for variable in variables) if name == b"DBUS_SESSION_BUS_ADDRESS"
    )
    return next(values, b"").decode("utf-8", "replace")


def _namespaces(process: str) -> tuple[str, str]:
    return os.readlink(f"{process}/ns/mnt"), os.readlink(f"{process}/ns/user")


def _is_safe(address: str) -> bool:
    from urllib.parse import unquote

    found = _SOCKET.fullmatch(address)
    return found is not None and (found[1] == "abstract" or _own_socket(unquote(found[2])))


def _own_socket(path: str) -> bool:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()
