"""`scq auth`: sign in to Google, look at the saved sign-ins, give them back."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from scq.clean import line
from scq.context import Context
from scq.errors import BUSY, OK, SIGN_IN, BusyError, ConfigError, ScqError, SignInError, UsageError
from scq.model import Problem
from scq.report import Report
from scq.showing import when
from scq.signin import service_account, tokens
from scq.signin.purposes import DRIVE, DRIVE_WRITE, GMAIL, Purpose, is_allowed, short
from scq.signin.renewing import Saved
from scq.signin.tokens import Token

if TYPE_CHECKING:
    from scq.signin.asking import Desk


class Place(Struct, frozen=True):
    """One sign-in and where it is saved."""

    purpose: Purpose
    path: str
    needed: bool
    own: bool
    """Lies below `$SCQ_HOME`: renewed ones are saved. Those of other programs are only used."""

    @property
    def setting(self) -> str:
        return "drive_token_path" if self.purpose is DRIVE else "gmail_token_path"


def google(
    ctx: Context,
    desk: Desk,
    *,
    send: bool = False,
    drive: bool = False,
    write: bool = False,
    credentials: str = "",
    port: int = 0,
) -> Report:
    """Ask a person for a sign-in and save it; for sending mail where nothing else is said.

    With both `send` and `drive` one sign-in for both is saved in both places. Raises SignInError, ConfigError, UsageError,
    BusyError; then nothing was saved.
    """
    from scq.signin import asking, client

    if write and not drive:
        raise UsageError("--write goes with --drive", "Add --drive.")
    wanted = {GMAIL.word: GMAIL.asks} if send or not drive else {}
    wanted |= {DRIVE.word: DRIVE_WRITE if write else DRIVE.asks} if drive else {}
    places = [place for place in _places(ctx) if place.purpose.word in wanted]
    for place in places:
        _keep_key(place)
        _keep_foreign(place)
    known = client.read(os.path.abspath(credentials) if credentials else ctx.config.credentials_path)
    token = asking.asked(known, tuple(wanted.values()), desk, hint=ctx.config.email, port=port)
    for place in places:
        tokens.write(place.path, token)
    words = ", ".join(short(scope) for scope in token.scopes)
    rows = [_described(place, token) for place in places]
    return Report("auth google", {"saved": rows}, tuple(f"signed in for {words}: {place.path}" for place in places))


def status(ctx: Context, *, online: bool = False) -> Report:
    """Every saved sign-in: what it allows and until when. `online` renews each, which proves that it lives.

    Exit code 77 when one that is needed is missing, dead or not enough; 75 when Google could not be asked.
    """
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    code = OK
    for place in _places(ctx):
        row, error = _looked_at(place, ctx.config.email, online=online)
        rows.append(row)
        if error is None or not (place.needed or row["there"]):
            continue
        problems.append(Problem(place.purpose.title, str(error), error.advice))
        if isinstance(error, BusyError):
            code = code or BUSY
        elif place.needed:
            code = SIGN_IN
    return Report("auth status", {"sign_ins": rows, "online": online}, tuple(_line(row) for row in rows), tuple(problems), code)


def _looked_at(place: Place, email: str, *, online: bool) -> tuple[dict[str, Any], ScqError | None]:
    """(what is known of a sign-in, what is wrong with it)."""
    try:
        key = _key(place)
    except ConfigError as failure:
        return _described(place, Token()) | {"usable": False, "why": str(failure)}, failure
    return _looked_at_token(place, online) if key is None else _looked_at_key(place, key, email, online)


def _looked_at_key(place: Place, key: service_account.Key, email: str, online: bool) -> tuple[dict[str, Any], ScqError | None]:
    """A key asks for its scope anew each time; whether it gets it, only Google knows."""
    from scq.signin.accounts import held

    error: ScqError | None = None
    token = Token(account=key.email, scopes=(place.purpose.asks,))
    try:
        access = held(key, place.path, email, place.purpose)
        if online:
            access.renew()
            token = replace(token, expiry=access.expiry)
    except (SignInError, ConfigError, BusyError) as failure:
        error = failure
    row = _described(place, token) | {"renewable": True, "usable": error is None, "why": "" if error is None else str(error)}
    return row, error


def _looked_at_token(place: Place, online: bool) -> tuple[dict[str, Any], ScqError | None]:
    saved = Saved(place.path, place.purpose, rewrite=place.own)
    error: ScqError | None = None
    token = Token()
    try:
        token = saved.token
        if online:
            saved.renew()
            token = saved.token
        if not is_allowed(token.scopes, place.purpose.allowed):
            error = SignInError(f"{place.path}: the sign-in lacks the scope {short(place.purpose.asks)}", place.purpose.advice)
        elif saved.unsaved:
            error = ConfigError(saved.unsaved, "Check the rights of the file and its folder.")
    except (SignInError, ConfigError, BusyError) as failure:
        error = failure
    row = _described(place, token) | {"usable": error is None, "why": "" if error is None else str(error)}
    return row, error


def revoke(
    ctx: Context, desk: Desk, *, send: bool = False, drive: bool = False, yes: bool = False, force: bool = False
) -> Report:
    """Give saved sign-ins back to Google and remove their files; all of them where none is named.

    Asks first, unless `yes`. A file stays while Google cannot be reached, unless `force`. Raises UsageError, SignInError.
    """
    chosen = {GMAIL.word: send, DRIVE.word: drive}
    places = [place for place in _places(ctx) if chosen[place.purpose.word] or not (send or drive)]
    there = [place for place in places if os.path.lexists(place.path)]
    if not there:
        raise SignInError("there is no saved sign-in", f"Looked for {', '.join(place.path for place in places)}.")
    names = ", ".join(place.path for place in there)
    if not yes and desk.confirm is None:
        raise UsageError(f"this gives back {names}", "Say --yes.")
    if not yes and desk.confirm is not None and not desk.confirm(f"Give back and remove {names}?"):
        return Report("auth revoke", {"revoked": []}, ("nothing was changed",))
    return _given_back(there, force)


def _given_back(places: list[Place], force: bool) -> Report:
    """Each sign-in on its own: one that cannot be given back now keeps no other."""
    rows, lines, problems, code = [], [], [], OK
    done: set[str] = set()
    for place in places:
        try:
            what = _revoked(place, done)
        except ScqError as error:
            removed = force
            advice = (
                "Take the access of scq back in your Google account." if force else f"{error.advice} --force removes the file."
            )
            problems.append(Problem(place.path, str(error), advice.strip()))
            code = code or (OK if force else error.exit_code)
            what = "removed, but not given back" if force else "kept"
        else:
            removed = True
        if removed:
            os.unlink(place.path)
        rows.append({"purpose": place.purpose.word, "path": place.path, "removed": removed, "what": what})
        lines.append(f"{place.path}: {what}")
    return Report("auth revoke", {"revoked": rows}, tuple(lines), tuple(problems), code)


def _revoked(place: Place, done: set[str]) -> str:
    """What happened. One sign-in that lies in both files is given back once."""
    from scq.signin.revoking import revoke

    if _key(place) is not None:
        raise ConfigError("the key of a service account cannot be given back", "Delete it in the Google Cloud console.")
    if not place.own:
        raise ConfigError("it lies outside the folder of scq and may be that of another program", "Give it back there.")
    token = tokens.read(place.path, place.purpose)
    secret = token.refresh or token.access
    if secret in done:
        return "given back and removed"
    alive = revoke(token)
    done.add(secret)
    return "given back and removed" if alive else "was no longer valid; removed"


def _places(ctx: Context) -> tuple[Place, Place]:
    gmail, drive = ctx.config.gmail_token_path, ctx.config.drive_token_path
    sends = any(setting.type == "gmail" for setting in ctx.config.channels)
    return (
        Place(GMAIL, gmail, needed=sends, own=tokens.is_own(gmail, ctx.home)),
        Place(DRIVE, drive, needed=os.path.lexists(drive), own=tokens.is_own(drive, ctx.home)),
    )


def _key(place: Place) -> service_account.Key | None:
    """The key of a service account that stands in place of a person's sign-in. Raises ConfigError for a damaged one."""
    return service_account.read(place.path) if place.purpose is DRIVE else None


def _keep_key(place: Place) -> None:
    """A key is not written over: it cannot be had a second time. Raises ConfigError."""
    if _key(place) is not None:
        raise ConfigError(f"{place.path}: is the key of a service account", "Move it away, or set another drive_token_path.")


def _keep_foreign(place: Place) -> None:
    """Another program lives on it, and may need more than scq asks for. Raises ConfigError where there is such a file."""
    if not place.own and os.path.lexists(place.path):
        what = f"{place.path}: lies outside the folder of scq and may be the sign-in of another program"
        raise ConfigError(what, f"Unset {place.setting} (or give it another file), or move this one away first.")


def _described(place: Place, token: Token) -> dict[str, Any]:
    return {
        "purpose": place.purpose.word,
        "path": place.path,
        "there": os.path.lexists(place.path),
        "needed": place.needed,
        "scopes": [line(scope, 200) for scope in token.scopes],
        "account": line(token.account, 254) or None,
        "expires_at": None if token.expiry is None else _iso(token.expiry),
        "renewable": token.is_renewable,
        "ends_at": None if token.ends is None else _iso(token.ends),
    }


def _line(row: dict[str, Any]) -> str:
    if not row["there"]:
        state = "not signed in"
    elif not row["usable"]:
        state = "not usable"
    elif row["ends_at"]:
        state = f"ends on {when(datetime.fromisoformat(row['ends_at']))}"
    elif row["renewable"]:
        state = "renews itself"
    else:
        state = f"until {when(datetime.fromisoformat(row['expires_at']))}" if row["expires_at"] else "its end is unknown"
    words = ", ".join(short(scope) for scope in row["scopes"])
    cells = (f"{row['purpose']:<6}", f"{state:<14}", row["account"] or "", words, row["path"])
    return "  ".join(cell for cell in cells if cell)


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
