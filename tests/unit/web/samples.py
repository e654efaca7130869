"""Pages to look at and to test with: a queue with a believable history, always the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from scq.lastcalls import Ended
from scq.model import AuditRow, Problem, ReleasedFile, Trouble
from scq.timeline import Results, Story, Verdict, summary, within
from scq.web.page import AuditEnd, Own, Page

OWNER = "owner@example.org"
NOW = datetime(2026, 11, 21, 8, 27, tzinfo=UTC)
PEOPLE = ("scientist@example.com", "second@example.net", "maria.lopez@example.edu", "j.okafor@example.org")
NAMES = (
    *("age-histogram", "mean-by-region", "survival-curve", "count-visits", "logit-outcome", "cohort-overlap"),
    *("missing-values", "lab-quantiles", "km-estimate", "dose-response"),
)
CAUSES = ("exit", "exit", "exit", "timeout", "memory", "dependencies")

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</style><img src=x onerror=alert(3)>",
    "\"'><svg onload=alert(4)>",
    "' onmouseover='alert(5)",
    "javascript:alert(6)",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "invoice\u202egpj.exe",
    "zero\u200bwidth\u2066\u2069\ufeff",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "a" * 10_000,
    "party \U0001f389\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "line\nbreak\ttab\x00nul\x1b[31mred",
    "-->]]><!--<![CDATA[",
    "&lt;b&gt;&amp;#60;",
    "lone \udcff surrogate",
)


def history(count: int, days: int = 60, seed: int = 7) -> tuple[Story, ...]:
    """So many jobs over so many days up to `NOW`."""
    dice = random.Random(seed)
    return tuple(_job(number, days, dice) for number in range(count))


def _job(number: int, days: int, dice: random.Random) -> Story:
    arrived = NOW - timedelta(seconds=dice.uniform(0.02, 1) ** 1.3 * days * 86_400)
    decided = arrived + timedelta(seconds=dice.lognormvariate(9.4, 1.4))
    began = decided + timedelta(seconds=dice.uniform(5, 600))
    ended = began + timedelta(seconds=dice.lognormvariate(3.6, 1.8))
    base: dict[str, Any] = {
        "id": f"{dice.getrandbits(32):08x}-{number:04d}",
        "name": f"{dice.choice(NAMES)}-{number % 9 + 1}",
        "submitter": dice.choices(PEOPLE, (8, 5, 2, 1))[0],
        "submitted_at": arrived,
        "digest": f"{dice.getrandbits(256):064x}",
        "description": "Counts by five-year age group, without names." if number % 3 == 0 else "",
        "tags": ("ages", "pilot") if number % 4 == 0 else (),
    }
    if decided > NOW:
        return Story(status="pending", **base)
    fate = dice.random()
    if fate < 0.1:
        return Story(status="rejected", verdict=Verdict("rejected", decided, OWNER, "reads columns it does not need"), **base)
    base["verdict"] = Verdict("approved", decided, OWNER, "reads totals only" if number % 2 else "")
    if ended > NOW:
        return Story(status="approved", **base)
    base |= {"began_at": began, "ended_at": ended}
    if fate < 0.24:
        cause = dice.choice(CAUSES)
        return Story(status="failed", cause=cause, exit_code=1 if cause == "exit" else None, results=Results("waiting"), **base)
    if fate < 0.34:
        return Story(status="completed", exit_code=0, results=Results("waiting"), **base)
    if fate < 0.38:
        kept = Results("withheld", ended, OWNER, "shows fewer than five people")
        return Story(status="completed", exit_code=0, results=kept, **base)
    files = tuple(ReleasedFile(name, dice.randrange(200, 90_000), "c" * 64) for name in ("totals.csv", "notes.txt"))
    sent = Results(
        "released", min(NOW, ended + timedelta(hours=dice.uniform(0.1, 30))), OWNER, "checked", files[: number % 2 + 1]
    )
    return Story(status="completed", exit_code=0, results=sent, **base)


def hostile() -> tuple[Story, ...]:
    """One job for every hostile text, which stands everywhere a stranger can put one."""
    return tuple(_hostile(text, number) for number, text in enumerate(HOSTILE))


def _hostile(text: str, number: int) -> Story:
    at = NOW - timedelta(hours=number + 1)
    return Story(
        id=f"{number:08x}-{text}",
        name=text,
        submitter=text,
        status="failed" if number % 2 else "pending",
        submitted_at=at,
        description=text,
        tags=(text, text),
        digest=text,
        verdict=Verdict("approved", at, text, text),
        began_at=at,
        ended_at=at,
        cause="exit" if number % 2 else "",
        detail=text,
        where=text,
        results=Results("released" if number % 3 else "withheld", at, text, text, (ReleasedFile(text, 1, text),)),
        notes=(text,),
    )


def own(text: str = "") -> Own:
    """What only an owner's page shows; `text` stands wherever a stranger could put one."""
    rows = tuple(AuditRow(n, NOW, "approve", text or OWNER, job="1a2b3c4d", digest="sha256:" + "a" * 64) for n in (412, 411, 410))
    problem = Problem("owner@example.org/app_data/job/x", text or "config.yaml is not YAML", text or "Ask its submitter.")
    return Own(
        root=text or "SyftBox",
        run_id="0f3a5c7e9b1d",
        outbox={"queued": 2, "deferred": 1, "ambiguous": 0, "sent": 148, "bundled": 12, "dead": 0, "dropped": 0},
        troubles={"channel owner-mail": Trouble(text or "the server refuses the password", NOW - timedelta(hours=3), text)},
        ended={"notify": Ended(NOW, 0.2), "run-approved": Ended(NOW - timedelta(minutes=4), 3.0)},
        looked_at=NOW - timedelta(minutes=12),
        peers_pending=1,
        audit=AuditEnd(412, "d" * 64, text, {"approve": 160, "end": 150, "release": 102}, rows),
        problems=(problem,),
    )


def page(stories: Iterable[Story], *, public: bool = False, since: datetime | None = None, text: str = "") -> Page:
    told = within((one for one in stories if not public or one.submitter == PEOPLE[0]), since)
    return Page(
        owner=OWNER,
        made_at=NOW,
        stories=told,
        summary=summary(told, NOW, UTC, since),
        since=since,
        submitter=PEOPLE[0] if public else "",
        own=None if public else own(text),
        zone=UTC,
    )
