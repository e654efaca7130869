"""`scq template list|show|preview|eject`: the templates of messages, what they look like, and copies to be changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from html import escape
from typing import Any

import msgspec
from msgspec import Struct

from scq import resources
from scq.clean import line
from scq.context import Context
from scq.errors import UsageError
from scq.files import make_folder, read_text, write_atomic
from scq.model import Notification, Role
from scq.render import MAILS, OTHER, Renderer, subject
from scq.report import Report
from scq.routing import level_of

FOLDER = "templates"
"""Below `$SCQ_HOME`: templates in it stand before the shipped ones."""
MAIL_FOLDER = "emails"
ALERT = "alert"
FORMS = ("html", "txt")
SAMPLES = "samples.json"
JOB_EVENTS = ("job.", "outputs.", "results.")
OTHER_EVENT: tuple[str, Role] = ("job.vanished", "do")
"""Shown as an example of an event without a template of its own."""


class Samples(Struct, frozen=True):
    """Made-up words to show templates with: of messages about a job, a peer, and scq itself; then of each event and role."""

    job: dict[str, str]
    peer: dict[str, str]
    own: dict[str, str]
    mails: dict[str, dict[str, str]]
    extra: dict[str, dict[str, Any]]
    alert: dict[str, Any]


class Example(Struct, frozen=True):
    """One rendered template. `name` is that of its files, without ending."""

    name: str
    template: str
    event: str
    role: str
    subject: str
    html: str
    text: str


def list_(ctx: Context) -> Report:
    """Every template: what it is sent for, and whether the shipped one or the user's own is used."""
    rows = [_row(ctx, path) for path in _paths()]
    widths = [max(len(row[name]) for row in rows) for name in ("name", "sent_for")]
    lines = [f"{row['name']:<{widths[0]}}  {row['sent_for']:<{widths[1]}}  {row['from']}" for row in rows]
    return Report("template list", {"templates": rows, "folder": ctx.templates_folder()}, tuple(lines))


def show(ctx: Context, name: str) -> Report:
    """The source of one template in the forms it has, as it is used now. Raises UsageError for an unknown name."""
    path = _known(name)
    files = [(f"{path}.{form}", _used(ctx, f"{path}.{form}")) for form in _forms(path)]
    texts = [{"name": name, "path": place, "from": _origin(ctx, name), "text": read_text(place)} for name, place in files]
    lines: list[str] = []
    for text in texts:
        lines.extend([f"── {text['name']}  ({text['from']})", *text["text"].rstrip("\n").split("\n"), ""])
    return Report("template show", {"name": _short(path), "files": texts}, tuple(lines[:-1]))


def preview(ctx: Context, names: Sequence[str], *, every: bool = False, out: str = "", form: str = "text") -> Report:
    """Render templates with made-up words, for every event and role they are sent for.

    `form` (`text` or `html`) is what is printed; with `out` both forms are written into that folder instead, and an
    `index.html` that shows all of them. Raises UsageError for unknown names.
    """
    if form not in ("text", "html"):
        raise UsageError(f"{form!a} is not a format", "It is text or html.")
    if not names and not every:
        raise UsageError("no template is named", "Name one, or say --all. `scq template list` shows them.")
    wanted = {_known(name) for name in names}
    strangers = [_short(path) for path in wanted if not path.startswith(f"{MAIL_FOLDER}/")]
    if strangers:
        raise UsageError(f"{strangers[0]} is a part of templates and is not sent by itself", "Preview a message instead.")
    renderer = Renderer(ctx.templates_folder(), ctx.config.notify.timezone)
    made = [item for item in _examples(renderer) if every or f"{MAIL_FOLDER}/{item.template}" in wanted]
    data: dict[str, Any] = {"previews": [_described(item) for item in made], "folder": ""}
    if out:
        folder = os.path.abspath(os.path.expanduser(out))
        _write(folder, made)
        data["folder"] = folder
        lines: list[str] = [f"{len(made)} messages: {os.path.join(folder, 'index.html')}"]
    else:
        lines = [row for item in made for row in _printed(item, form)]
    return Report("template preview", data, tuple(lines), tuple(renderer.problems))


def eject(ctx: Context, names: Sequence[str], *, force: bool = False, dry_run: bool = False) -> Report:
    """Copy shipped templates below `$SCQ_HOME/templates`, to be changed there.

    Raises UsageError for unknown names, and for files that are there already unless `force`; nothing is copied then.
    """
    files = [f"{path}.{form}" for path in dict.fromkeys(_known(name) for name in names) for form in _forms(path)]
    there = [name for name in files if os.path.lexists(os.path.join(ctx.templates_folder(), name))]
    if there and not force:
        raise UsageError(
            f"{os.path.join(ctx.templates_folder(), there[0])} is there already", "--force puts the shipped one in its place."
        )
    rows = [{"name": name, "path": os.path.join(ctx.templates_folder(), name), "replaced": name in there} for name in files]
    if not dry_run:
        for row in rows:
            path = str(row["path"])
            make_folder(os.path.dirname(path), 0o700)
            write_atomic(path, read_text(os.path.join(_shipped(), str(row["name"]))).encode())
    word = "would be written" if dry_run else "written"
    return Report("template eject", {"files": rows, "dry_run": dry_run}, tuple(f"{word}: {row['path']}" for row in rows))


def _shipped() -> str:
    return resources.folder(FOLDER)


def _paths() -> list[str]:
    """Every shipped template without its ending, messages first: `emails/new_job`, `base`, `components/button`."""
    found: set[str] = set()
    for folder in (MAIL_FOLDER, "components", ""):
        names = os.listdir(os.path.join(_shipped(), folder))
        found.update(os.path.join(folder, name.rpartition(".")[0]) for name in names if name.endswith((".html", ".txt")))
    return sorted(found, key=lambda path: (not path.startswith(f"{MAIL_FOLDER}/"), path))


def _short(path: str) -> str:
    return path.removeprefix(f"{MAIL_FOLDER}/")


def _known(name: str) -> str:
    """The template meant by `new_job`, `emails/new_job` or `emails/new_job.html`."""
    wanted = name.removesuffix(".html").removesuffix(".txt")
    paths = {_short(path): path for path in _paths()}
    if wanted in paths or wanted in paths.values():
        return paths.get(wanted, wanted)
    near = get_close_matches(wanted, paths, n=2)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`scq template list` shows them."
    raise UsageError(f"there is no template {name!a}", hint)


def _forms(path: str) -> list[str]:
    return [form for form in FORMS if os.path.isfile(os.path.join(_shipped(), f"{path}.{form}"))]


def _used(ctx: Context, name: str) -> str:
    own = os.path.join(ctx.templates_folder(), name)
    return own if os.path.isfile(own) else os.path.join(_shipped(), name)


def _origin(ctx: Context, name: str) -> str:
    return "yours" if os.path.isfile(os.path.join(ctx.templates_folder(), name)) else "shipped"


def _row(ctx: Context, path: str) -> dict[str, Any]:
    forms = _forms(path)
    yours = [form for form in forms if _origin(ctx, f"{path}.{form}") == "yours"]
    origin = "shipped" if not yours else "yours" if yours == forms else f"yours ({', '.join(yours)}), else shipped"
    uses = [{"event": kind, "role": role} for (kind, role), mail in MAILS.items() if path == f"{MAIL_FOLDER}/{mail.template}"]
    told = ", ".join(f"{use['event']} {use['role']}" for use in uses)
    words = {f"{MAIL_FOLDER}/{ALERT}": "scq send", f"{MAIL_FOLDER}/{OTHER}": "events without a template of their own"}
    return {
        "name": _short(path),
        "sent_for": told or words.get(path, "part of templates"),
        "uses": uses,
        "forms": forms,
        "from": origin,
    }


def _examples(renderer: Renderer) -> Iterator[Example]:
    samples = msgspec.json.decode(read_text(os.path.join(_shipped(), SAMPLES)).encode(), type=Samples)
    taken: set[str] = set()
    for (kind, role), template in _uses():
        row = _sample(samples, kind, role)
        message = renderer.message(row, sender=row.recipient, extra=samples.extra.get(f"{kind}/{role}"))
        name = f"{template}.{role}" if f"{template}.{role}" not in taken else f"{template}.{role}.{kind}"
        taken.add(name)
        yield Example(name, template, kind, role, message.subject, message.html or "", message.text)
    html, text = renderer.render_with_fallback(f"{MAIL_FOLDER}/{ALERT}", samples.alert, "")
    yield Example(ALERT, ALERT, "scq send", "", subject(samples.alert["title"], "", ""), html, text)


def _uses() -> list[tuple[tuple[str, Role], str]]:
    return [*((use, mail.template) for use, mail in MAILS.items()), (OTHER_EVENT, OTHER)]


def _sample(samples: Samples, kind: str, role: Role) -> Notification:
    about = samples.job if kind.startswith(JOB_EVENTS) else samples.peer if kind.startswith("peer.") else samples.own
    words: Mapping[str, str] = about | samples.mails.get(f"{kind}/{role}", {})
    return Notification(
        key="0" * 64,
        event="1-0",
        kind=kind,
        job_id=about.get("job_id", ""),
        channel="",
        recipient=samples.job["owner" if role == "do" else "submitter"],
        role=role,
        created_at=datetime.fromisoformat(samples.own["at"]).astimezone(UTC),
        context=dict(words),
        level=level_of(kind),
    )


def _described(item: Example) -> dict[str, str]:
    return {
        "name": item.template,
        "event": item.event,
        "role": item.role,
        "subject": item.subject,
        "html": item.html,
        "text": item.text,
    }


def _printed(item: Example, form: str) -> list[str]:
    body = item.text if form == "text" else item.html
    head = f"── {item.template}  {item.event} {item.role}".rstrip()
    return [head, f"Subject: {line(item.subject, 150)}", "", *body.rstrip("\n").split("\n"), ""]


def _write(folder: str, made: Sequence[Example]) -> None:
    make_folder(folder, 0o755)
    for item in made:
        write_atomic(os.path.join(folder, f"{item.name}.html"), item.html.encode(), mode=0o644, sync=False)
        write_atomic(os.path.join(folder, f"{item.name}.txt"), item.text.encode(), mode=0o644, sync=False)
    write_atomic(os.path.join(folder, "index.html"), _gallery(made).encode(), mode=0o644, sync=False)


def _gallery(made: Sequence[Example]) -> str:
    shown = "\n".join(
        f'<h2 id="{item.name}">{escape(item.template)}</h2>\n'
        f'<p>{escape(item.event)} {escape(item.role)} · {escape(item.subject)} · <a href="{item.name}.txt">text</a></p>\n'
        f'<iframe src="{item.name}.html" title="{item.name}" loading="lazy" width="100%" height="520"></iframe>'
        for item in made
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        "<title>Messages of scq</title>\n<style>body{font-family:system-ui,sans-serif;max-width:760px;margin:0 auto;padding:16px}"
        "iframe{border:1px solid #8886}</style>\n</head>\n<body>\n<h1>Messages of scq</h1>\n"
        f"{shown}\n</body>\n</html>\n"
    )
