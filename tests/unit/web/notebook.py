"""A page that stands in for the notebook: it loads the widget as anywidget does and answers as Python would.

Everything asked is kept in `asked`. `answers[ask]` is data, or a function of the request; `silent` holds the asks that get no
answer, `broken` makes the model throw as a comm does whose kernel is gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scq import resources
from tests.chromium import Browser

FIELDS = (
    *("id", "short_id", "name", "status", "submitter", "owner", "submitted_at", "tags", "description", "digest", "read"),
    *("revision", "outputs", "logs"),
)
ME = "owner@example.org"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>notebook</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root { color-scheme: light dark } body { margin: 16px }</style><style>CSS</style></head>
<body><script type="application/json" id="esm">ESM</script><script type="module">
const hurry = HURRY, late = window.setTimeout.bind(window), often = window.setInterval.bind(window);
window.setTimeout = (act, delay = 0, ...rest) => late(act, delay / hurry, ...rest);
window.setInterval = (act, delay, ...rest) => often(act, delay / hurry, ...rest);
window.trigger = (name, ...facts) => listeners.filter(([one]) => one === name).forEach(([, act]) => act(...facts));
window.reply = (message) => {
  const made = answers[message.ask];
  const data = typeof made === "function" ? made(message) : made;
  const error = data && data.error;
  const told = error ? { ok: false, error } : { ok: true, data, problems: [] };
  trigger("msg:custom", structuredClone({ id: message.id, ...told }));
};
const model = {
  get: (name) => traits[name],
  send: (message) => {
    if (window.broken) throw new Error("Cannot send");
    asked.push(structuredClone(message));
    if (silent.has(message.ask)) held.push(message); else late(() => reply(message));
  },
  on: (name, act) => listeners.push([name, act]),
  off: (name, act) => listeners.splice(0, listeners.length, ...listeners.filter((one) => one[0] !== name || one[1] !== act)),
};
window.all = (selector) => [...document.querySelectorAll(selector)];
window.one = (selector) => document.querySelector(selector);
window.shows = (selector) => all(selector).filter((el) => el.getClientRects().length).map((el) => el.textContent);
window.named = (text) => all("button").find((el) => el.textContent.startsWith(text) && el.getClientRects().length);
window.until = async (test) => {
  for (const end = Date.now() + 10000; !test(); await new Promise((done) => late(done, 25))) {
    if (Date.now() > end) throw new Error(`never: ${test}, but: ${document.body.innerText.slice(0, 2000)}`);
  }
  return true;
};
const esm = JSON.parse(document.getElementById("esm").textContent);
const widget = (await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })))).default;
window.begin = async (traits, answers, classes) => {
  window.leave?.();
  Object.assign(window, { traits, answers, asked: [], held: [], listeners: [], silent: new Set(), broken: false });
  all("#cell").forEach((old) => old.remove());
  const cell = document.body.appendChild(document.createElement("div"));
  Object.assign(cell, { id: "cell", className: classes });
  window.leave = await widget.render({ model, el: cell });
};
window.ready = true;
</script></body></html>"""


def open_page(browser: Browser, path: Path, *, hurry: int = 10) -> None:
    """Write the page and open it. `hurry` makes its clock that many times as fast."""
    esm = json.dumps(module()).replace("<", "\\u003c")
    path.write_text(PAGE.replace("HURRY", str(hurry)).replace("CSS", css()).replace("ESM", esm))
    browser.open(path)
    browser.run("(async () => { while (!window.ready) await new Promise((done) => setTimeout(done, 25)) })()")


def begin(
    browser: Browser,
    answers: dict[str, Any],
    *,
    kind: str = "jobs",
    word: str = "",
    page_size: int = 50,
    classes: str = "jupyter-widgets",
) -> None:
    """Show a new view in the open page, and leave the one before."""
    traits = {"kind": kind, "word": word, "title": "Jobs for me", "page_size": page_size}
    browser.run(f"begin({json.dumps(traits)}, {json.dumps(answers)}, {json.dumps(classes)})")


def open_table(browser: Browser, *jobs: dict[str, Any], page_size: int = 50, **answers: Any) -> None:
    """Show a table of these jobs, and wait until they are there."""
    begin(browser, {"rows": rows(*jobs)} | answers, page_size=page_size)
    browser.run("until(() => one('.scq-head .scq-muted').textContent)")


def open_card(browser: Browser, shown: dict[str, Any], **answers: Any) -> None:
    """Show the card of one job, and wait until it is there."""
    begin(browser, {"job": card(shown), "look": look(shown), "rows": rows(shown)} | answers, kind="job", word=shown["id"])
    browser.run("until(() => one('.scq-dl'))")


def asked(browser: Browser, what: str) -> list[dict[str, Any]]:
    """What the page asked of one kind."""
    found: list[dict[str, Any]] = browser.run(f"asked.filter((message) => message.ask === '{what}')")
    return found


def names(browser: Browser) -> list[str]:
    """The jobs that are shown."""
    found: list[str] = browser.run("shows('.scq-open')")
    return found


def search(browser: Browser, text: str, until: str) -> None:
    """Type a search, and wait for what the table says about it."""
    browser.run("one('.scq-search').value = ''; one('.scq-search').focus()")
    browser.write(text)
    browser.run(f"until(() => one('.scq-head .scq-muted').textContent === '{until}')")


def choose(browser: Browser, *at: int) -> None:
    """Tick rows, counted from 0."""
    for number in at:
        browser.run(f"all('.scq-row .scq-check')[{number}].click()")


def press(browser: Browser, label: str) -> None:
    """Press the first visible button whose text begins so, once it acts."""
    browser.run(f"until(() => named('{label}') && named('{label}').getAttribute('aria-disabled') !== 'true')")
    browser.run(f"named('{label}').click()")


def stopped(browser: Browser, label: str) -> str:
    """Why a button does nothing; empty when it acts."""
    reason: str = browser.run(f"named('{label}').getAttribute('aria-disabled') === 'true' ? named('{label}').title || '?' : ''")
    return reason


def says(browser: Browser, selector: str, text: str) -> None:
    """Wait until a text is seen there."""
    browser.run(f"until(() => shows('{selector}').some((one) => one.includes({text!r})))")


def module() -> str:
    """The widget as one module, joined as the Python side joins it."""
    return "\n".join(path.read_text() for path in sorted(Path(resources.folder("templates"), "notebook").glob("*.js")))


def css() -> str:
    return Path(resources.folder("templates"), "notebook", "widget.css").read_text()


def row(number: int, **facts: Any) -> dict[str, Any]:
    """One believable job."""
    made = {
        "id": f"{number:08x}-0000-4000-8000-000000000000",
        "short_id": f"{number:08x}",
        "name": f"job-{number:05}",
        "status": "pending",
        "submitter": f"scientist{number % 7}@example.com",
        "owner": ME,
        "submitted_at": f"2026-11-{1 + number % 20:02}T08:{number % 60:02}:00Z",
        "tags": ["statistics"] if number % 3 == 0 else [],
        "description": "Mean by region",
        "digest": f"sha256:{number:064x}",
        "read": "read",
        "revision": f"{number:012x}",
        "outputs": "none",
        "logs": "none",
    }
    return made | facts


def rows(*jobs: dict[str, Any]) -> dict[str, Any]:
    """The answer to `rows`."""
    return {"me": ME, "fields": list(FIELDS), "rows": [[job[field] for field in FIELDS] for job in jobs]}


def free(**reasons: str) -> dict[str, str]:
    """`why_not` of a job with which everything can be done but what is named."""
    names = ("review", "approve", "reject", "cancel", "diff", "logs", "outputs", "release", "withhold")
    return dict.fromkeys(names, "") | reasons


def card(job: dict[str, Any], why_not: dict[str, str] | None = None, **facts: Any) -> dict[str, Any]:
    """The answer to `job`."""
    nothing = {"reason": None, "approval": None, "run": None, "results": {"outputs": "none", "logs": "none"}}
    return {
        "me": ME,
        "job": job | nothing | {"problems": [], "invalid": [], "where": "local"} | facts,
        "why_not": why_not or free(),
    }


def look(job: dict[str, Any], why_not: dict[str, str] | None = None) -> dict[str, Any]:
    """The answer to `look`."""
    return {name: job[name] for name in ("status", "revision", "digest", "read")} | {"me": ME, "why_not": why_not or free()}


def code(path: str, *lines: list[list[str]], **facts: Any) -> dict[str, Any]:
    """One file of a review."""
    size = sum(len(text) for line in lines for _, text in line)
    return {"path": path, "size": size, "executable": False, "sha256": "ab" * 32, "whole": True, "lines": list(lines)} | facts


def review(job: dict[str, Any], *files: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """The answer to `review`."""
    found: dict[str, Any] = {"findings": [], "limits": [], "invalid": []}
    return card(job) | {"digest": job["digest"], "revision": job["revision"], "files": list(files)} | found | facts


JOB = row(1, name="mean-by-region", digest="sha256:0123456789abcdef" + "0" * 48)

RESULTS = {
    "revision": "00000000beef",
    "folder": "outputs",
    "files": [
        {
            "path": "means.csv",
            "size": 412,
            "released": False,
            "kind": "csv",
            "summary": "12 rows",
            "preview": "a,b",
            "findings": [],
        },
        {
            "path": "visits.csv",
            "size": 9_000_000,
            "released": False,
            "kind": "csv",
            "summary": "",
            "preview": "",
            "findings": [{"rule": "identifier", "line": 1, "what": "looks like an identifier"}],
        },
    ],
    "results": {"outputs": "withheld", "logs": "withheld"},
    "answer": None,
    "waits": "",
    "has_logs": True,
}
