"""Where a channel finds what is not in its setting."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Place(Struct, frozen=True):
    """The surroundings of a call. `gmail_token` is the absolute path of the saved sign-in for Gmail."""

    env: Mapping[str, str]
    gmail_token: str = ""
