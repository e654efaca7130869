#!/usr/bin/env python3
"""Approves known code that is sent again with other parameters, by rules of yours. Everything else waits for you.

    python examples/external_automation_example.py --rule-for ID > rules.yaml    a rule from a job that you have read
    python examples/external_automation_example.py rules.yaml                    says what it would decide, and decides nothing
    python examples/external_automation_example.py rules.yaml --act              decides

A rule names people, and each file that they may send by its sha256. Only files listed in `free` may hold anything:

    rules:
      - name: age groups
        submitters: [scientist@example.com]
        tags: [count]              # at least one of them; leave it out if tags do not matter
        files:
          run.sh: [9f86d081…]      # one of these
          age_groups.py: [60303ae2…, fd61a03a…]
        dependencies: [numpy]      # packages that the submission asks for; none when left out
        free: [parameters.json]    # think: what can the code be made to do by what stands in here?
        free_bytes: 10000          # all of them together
        max_runs: 1
        timeout: 10m

It uses the library of scq, so it needs the Python that scq is installed for. To let `scq automate` and `scq start approve`
call it:

    approve:
      command: [/home/you/.local/share/pipx/venvs/scq/bin/python, /home/you/scq/external_automation_example.py,
                /home/you/scq/rules.yaml, --act]

`examples/approve_seen_before.py` needs no rules: it approves what you approved before. What both have in common: they read a job
first, and approve the digest of exactly what they read. With --reject-others the submitter of anything else reads why.

Exit code: 0 also when nothing was approved, 75 when scq is busy (the next call tries again), 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import scq as q
from scq.errors import BUSY, BusyError, IntegrityError, ScqError, UsageError

DESCRIBED = "config.yaml"
"""Written by the software that sends a job: its name and the time are in it, so it is never the same twice.

What in it changes a run are the packages it asks for: these are compared one by one.
"""
KNOWN = {"name", "submitters", "tags", "files", "dependencies", "free", "free_bytes", "max_runs", "timeout"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Approve jobs by rules of your own.")
    parser.add_argument("rules", nargs="?", type=Path, help="a YAML file with your rules")
    parser.add_argument("--act", action="store_true", help="decide; without it nothing is decided")
    parser.add_argument("--reject-others", action="store_true", help="refuse what fits no rule, instead of leaving it to you")
    parser.add_argument("--rule-for", metavar="ID", help="print a rule that this job fits, and end")
    options = parser.parse_args()
    try:
        if options.rule_for:
            sys.stdout.write(rule_for(options.rule_for))
        elif options.rules is None:
            parser.error("name a file with rules, or --rule-for ID")
        else:
            decide(read_rules(options.rules), act=options.act, reject_others=options.reject_others)
    except BusyError as error:
        print(error, file=sys.stderr)
        return BUSY
    except (ScqError, OSError, ValueError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def decide(rules: list[dict[str, Any]], *, act: bool, reject_others: bool) -> None:
    """Answer each waiting job, oldest first, and print what was answered and why."""
    for job in q.pending_for_me():
        try:
            answer(job, rules, act=act, reject_others=reject_others)
        except (UsageError, IntegrityError) as error:  # decided, withdrawn or changed since, or blocked by `deny`
            say(job, "waits for you", str(error))


def answer(job: q.CodeJob, rules: list[dict[str, Any]], *, act: bool, reject_others: bool) -> None:
    reading = q.inspect_job(job)
    misfits = {rule["name"]: misfit(rule, job, reading["files"]) for rule in rules}
    fitting = next((rule for rule in rules if not misfits[rule["name"]]), None)
    why = "; ".join(f"not {name!a}: {text}" for name, text in misfits.items()) or "there are no rules"
    if fitting:
        say(job, "approved" if act else "would be approved", f"fits the rule {fitting['name']!a}")
        if act:
            bounds = {"max_runs": fitting.get("max_runs"), "timeout": fitting.get("timeout", "")}
            q.approve(job, f"fits the rule {fitting['name']}", digest=reading["digest"], **bounds)
    elif reject_others:
        say(job, "rejected" if act else "would be rejected", why)
        if act:
            q.reject(job, f"does not meet the criteria of automatic approval: {why}")
    else:
        say(job, "waits for you", why)


def misfit(rule: Mapping[str, Any], job: q.CodeJob, files: list[dict[str, Any]]) -> str:
    """Why a job does not fit a rule; empty when it does."""
    if job.requester_email.lower() not in [address.lower() for address in rule["submitters"]]:
        return "another submitter"
    if rule.get("tags") and not set(rule["tags"]) & set(job.tags):
        return "none of the tags"
    if sorted(rule.get("dependencies", ())) != sorted(job.as_dict()["dependencies"]):
        return "other packages"
    free = {DESCRIBED, *rule.get("free", ())}
    if missing := sorted(set(rule["files"]) - {file["path"] for file in files}):
        return f"without {missing[0]!a}"
    for file in files:
        if file["path"] not in free and file["sha256"] not in rule["files"].get(file["path"], ()):
            return f"unknown content of {file['path']!a}"
    if sum(file["size"] for file in files if file["path"] in free) > rule.get("free_bytes", 10_000):
        return "more free content than allowed"
    return ""


def read_rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file. Raises ValueError naming the first mistake: a rule that is half understood would allow too much."""
    document = yaml.safe_load(path.read_text("utf-8"))
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, list):
        raise ValueError(f"{path}: there is no list called rules")
    for rule in rules:
        if mistake := mistake_in(rule):
            raise ValueError(f"{path}: {mistake}")
    return rules


def mistake_in(rule: object) -> str:
    if not isinstance(rule, dict) or not isinstance(rule.get("name"), str):
        return "each rule is a mapping with a name"
    if unknown := set(rule) - KNOWN:
        return f"{rule['name']}: nobody knows {', '.join(map(str, unknown))}"
    files = rule.get("files")
    if not isinstance(files, dict) or "run.sh" not in files or not all(is_words(known) for known in files.values()):
        return f"{rule['name']}: files maps each file, also run.sh, to a list of sha256"
    if not is_words(rule.get("submitters")) or not all(is_words(rule.get(name, [])) for name in ("tags", "free", "dependencies")):
        return f"{rule['name']}: submitters, tags, free and dependencies are lists of words"
    return "" if isinstance(rule.get("free_bytes", 0), int) else f"{rule['name']}: free_bytes is a number"


def is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def rule_for(uid: str) -> str:
    """A rule that fits exactly this job, as YAML. Read the job before you use it, and make the rule wider by hand."""
    job = q.get_job(uid)
    files = {file["path"]: [file["sha256"]] for file in q.inspect_job(job)["files"] if file["path"] != DESCRIBED}
    packages = list(job.as_dict()["dependencies"])
    rule: dict[str, Any] = {"name": job.name, "submitters": [job.requester_email], "files": files}
    rule |= {"dependencies": packages, "free": [], "max_runs": 1}
    return str(yaml.safe_dump({"rules": [rule]}, sort_keys=False))


def say(job: q.CodeJob, what: str, why: str) -> None:
    """One line that a terminal can show, whatever a submitter wrote."""
    print(job.short_id, what + ":", ascii(why)[1:-1])


if __name__ == "__main__":
    sys.exit(main())
