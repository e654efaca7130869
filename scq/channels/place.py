"""Where a channel finds what is not in its setting."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Place(Struct, frozen=True):
    """The surroundings of a call. `gmail_token` is the absolute path of the saved sign-in for Gmail."""

    env: Mapping[str, str]
    gmail_token: str = ""
    json: bool = False
    """True when the standard output is kept for one JSON document."""
    home: str = ""
    """Absolute path of `$SCQ_HOME`: a saved sign-in below it is scq's own, and written anew when it was refreshed."""
