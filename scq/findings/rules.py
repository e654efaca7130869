"""The names of the rules and what each of them means. They are stable: `deny` in config.yaml and audit rows name them."""

from __future__ import annotations

CODE_RULES = {
    "background": "starts something that goes on by itself",
    "binary": "a file that is not text, so that nobody can read what it does",
    "delete": "deletes files",
    "encoded": "a long text in base64 or hexadecimal",
    "environment": "reads all environment variables",
    "eval": "runs code that is only made while it runs",
    "hidden": "characters or lines that a reader does not see as they are",
    "install": "installs software",
    "more": "further findings that are not listed",
    "network": "uses the network",
    "outside-files": "names files outside of the code and the declared data",
    "privileges": "asks for other rights, or calls the system below Python",
    "process": "starts other programs",
    "too-large": "a file that is too large to be looked at",
    "unparsed": "code that could not be read",
}
RESULT_RULES = {
    "active": "does something when it is opened",
    "archive": "a container of other files, which are not looked at",
    "copied": "has lines or values of the declared data",
    "disguised": "is something else than its name says",
    "email": "has e-mail addresses",
    "encoded": CODE_RULES["encoded"],
    "executable": "a program",
    "hidden": CODE_RULES["hidden"],
    "high-entropy": "looks encrypted or compressed",
    "many-rows": "has so many rows that they look like records",
    "oversized": "is larger than what is looked at or expected",
    "phone": "has phone numbers",
    "pickle": "runs code when it is loaded",
}
RULES = CODE_RULES | RESULT_RULES
