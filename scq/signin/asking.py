"""Asking the person at this machine, or one with a browser elsewhere, for a sign-in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from scq.signin import listener
from scq.signin.client import Client
from scq.signin.consent import Consent, pasted
from scq.signin.listener import Listener
from scq.signin.tokens import Token

PASTE_ADDRESS = "http://localhost:1/"
"""Nothing listens there: the browser shows an error page whose address is the answer."""
PASTING = (
    "Open this page in a browser, on any machine:\n\n{url}\n\n"
    "When you have agreed, the browser goes to a page that does not load. Copy its whole address and paste it here:"
)
BROWSING = "Your browser opens a page of Google. If it does not, open this one on this machine:\n\n{url}\n"


class Desk(Struct, frozen=True):
    """The person: is shown a text, pastes a line, opens a page (False: cannot), says yes or no."""

    tell: Callable[[str], None]
    paste: Callable[[], str]
    browse: Callable[[str], bool] | None = None
    """None: there is no browser on this machine."""
    confirm: Callable[[str], bool] | None = None
    """None: nobody is there to be asked."""


def asked(
    client: Client, scopes: Collection[str], desk: Desk, *, hint: str = "", port: int = 0, timeout: float | None = None
) -> Token:
    """The new sign-in. `hint` is the address that the page proposes, `port` where the answer is waited for (0: any).

    Raises UsageError, SignInError, ConfigError, BusyError (nobody answered within `timeout` seconds, or Google
    is not there).
    """
    if desk.browse is None:
        consent = Consent(client, scopes, f"http://localhost:{port}/" if port else PASTE_ADDRESS, hint)
        desk.tell(PASTING.format(url=consent.url))
        return pasted(desk.paste, consent)
    with Listener(port) as waiting:
        consent = Consent(client, scopes, waiting.address, hint)
        desk.tell(BROWSING.format(url=consent.url))
        if not desk.browse(consent.url):
            desk.tell("No browser could be opened here; with --no-browser one on another machine will do.")
        return consent.finish(waiting.wait(consent.is_answer, listener.TIMEOUT if timeout is None else timeout))


def browser(env: Mapping[str, str], platform: str) -> Callable[[str], bool] | None:
    """How to open a page for the person here; None on a machine without a screen."""
    if platform == "darwin" or any(env.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        import webbrowser

        return webbrowser.open
    return None
