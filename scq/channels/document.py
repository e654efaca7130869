"""A message as one JSON document, for programs and services that take it apart themselves."""

from __future__ import annotations

from typing import Any

from scq import clean
from scq.ports import Message

SCHEMA = 1
"""Rises when a key changes its meaning or goes away; new keys may come at any time."""


def document(message: Message) -> dict[str, Any]:
    """The message as plain data. `ts` is a UTC time in ISO form; `html` is None where there is only text.

    `key` is the same when the message is handed over a second time; `words` are what its texts were made of.
    """
    return {
        "schema": SCHEMA,
        "event": clean.line(message.event),
        "key": message.key,
        "level": message.level,
        "title": clean.line(message.subject),
        "text": clean.block(message.text),
        "html": None if message.html is None else clean.block(message.html),
        "recipient": clean.line(message.recipient),
        "role": clean.line(message.role),
        "job": clean.line(message.job_id),
        "words": {clean.line(name): clean.block(word) for name, word in message.words.items()},
        "ts": message.at_iso,
    }
