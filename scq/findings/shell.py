"""Rules on the words of shell scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scq.findings.places import is_private, outside
from scq.findings.sink import Sink, shown
from scq.findings.words import Command, Word, name_of, readable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEVELS = 10
"""Commands within each other that are looked at."""
NETWORK = _words(
    """aria2c axel aws az curl dig ftp gcloud gh gsutil hf host http https huggingface-cli kaggle lftp mail mutt nc ncat netcat
    nmap nslookup ping rclone rsync s3cmd scp sendmail sftp socat ssh telnet traceroute wget"""
)
PRIVILEGES = _words(
    """bwrap capsh chgrp chown chroot doas docker firejail gdb insmod iptables kubectl ltrace modprobe mount newgrp nft nsenter
    pkexec podman runuser setcap setpriv strace su sudo sysctl systemctl umount unshare useradd usermod"""
)
DELETE = frozenset({"rm", "rmdir", "shred", "unlink", "wipefs"})
BACKGROUND = frozenset(
    {"at", "batch", "crontab", "daemonize", "disown", "nohup", "screen", "setsid", "start-stop-daemon", "systemd-run", "tmux"}
)
INSTALLERS = _words("apk apt apt-get brew cargo conda dnf gem go mamba micromamba npm pip pip3 pipx pnpm poetry uv yarn yum")
INSTALLING = frozenset({"add", "ci", "create", "download", "get", "i", "install", "sync", "upgrade"})
SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
OTHER_LANGUAGES = frozenset({"R", "Rscript", "julia", "lua", "node", "perl", "php", "ruby"})
PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
GIT_NETWORK = frozenset({"clone", "fetch", "ls-remote", "pull", "push", "submodule"})
NETWORK_MODULES = frozenset({"ftplib", "http.server", "smtpd", "smtplib", "telnetlib", "webbrowser", "xmlrpc.server"})
WRAPPERS = {
    "builtin": "",
    "busybox": "",
    "command": "",
    "doas": "Cu",
    "env": "CSu",
    "exec": "a",
    "ionice": "cnp",
    "nice": "n",
    "nohup": "",
    "setsid": "",
    "stdbuf": "eio",
    "sudo": "CDRTUghpru",
    "time": "fo",
    "timeout": "ks",
    "xargs": "EILPadns",
}
"""Commands that run the command in their words, with the letters of the options that take a word of their own."""
LONG_WITH_VALUE = _words("--directory --env-file --extra --group --index-url --project --python --with --with-requirements")
KEYWORDS = frozenset({"!", "do", "elif", "else", "function", "if", "then", "until", "while", "{", "}", "coproc"})
TEXT_ONLY = frozenset({"echo", "printf", ":", "true"})
WITH_PATTERNS = frozenset({"awk", "egrep", "fgrep", "gawk", "grep", "rg", "sed", "tr"})
_ASSIGNMENT = re.compile(r"\w+(?:\[[^]]*\])?\+?=", re.ASCII)


def in_shell(text: str, line: int, sink: Sink) -> None:
    """Put what the rules find in a script into the sink."""
    found, problem = readable(text, line)
    if problem is not None:
        sink.add(problem.line, "unparsed", f"the script can only be read in part: {problem}")
    for command in found:
        _judge(command, sink)


def _judge(command: Command, sink: Sink) -> None:
    words = command.words
    first = words[0] if words else command.targets[0]
    for target in command.targets:
        _place(target, sink, ())
    if command.background:
        sink.add(first.line, "background", f"{shown(first.text)} is started in the background (&)")
    levels = list(_levels(words))
    if len(levels) == LEVELS:
        sink.add(
            first.line, "unparsed", f"{shown(first.text)} begins {LEVELS} commands within each other: the rest is not looked at"
        )
    for level in levels:
        inner = Command(words=level, before=command.before, body=command.body, body_line=command.body_line)
        _name(inner, sink)
        _interpreter(inner, sink)
    _paths(words, sink)


def _levels(words: list[Word]) -> Iterator[list[Word]]:
    """The command, and the commands that it runs by its words: `sudo timeout 5 curl …` is three."""
    for _ in range(LEVELS):
        while words and ((words[0].text in KEYWORDS and not words[0].quoted) or _is_assignment(words[0])):
            words = words[1:]
        if not words:
            return
        yield words
        words = _wrapped(words)


def _is_assignment(word: Word) -> bool:
    return _ASSIGNMENT.match(word.text) is not None


def _wrapped(words: list[Word]) -> list[Word]:
    name = words[0].text.rpartition("/")[2]
    texts = [word.text for word in words]
    if name == "find":
        start = next((at for at, text in enumerate(texts) if text in ("-exec", "-execdir", "-ok", "-okdir")), len(texts))
        return words[start + 1 :]
    if name in ("uv", "poetry", "pipx", "pixi", "conda", "mamba") and "run" in texts[1:]:
        return _after_options(words[texts.index("run", 1) + 1 :], "mnp")
    if name not in WRAPPERS:
        return []
    rest = _after_options(words[1:], WRAPPERS[name])
    return rest[1:] if name == "timeout" else rest


def _after_options(words: list[Word], with_value: str) -> list[Word]:
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        option = words[at].text
        at += 2 if option in LONG_WITH_VALUE or (len(option) == 2 and option[1] in with_value) else 1
    return words[at:]


def _name(command: Command, sink: Sink) -> None:
    """Rules on the name of a command and the words that go with it."""
    first, *rest = command.words
    name, texts = name_of(command), [word.text for word in rest]
    calls = shown(" ".join([name, *texts[:1]]) if name in ("git", *INSTALLERS) else name)
    if first.computed and not first.text.rpartition("/")[2].isalnum():
        sink.add(first.line, "eval", f"the name of the command is only known at run time: {shown(first.text)}")
    if name in NETWORK or (name == "git" and GIT_NETWORK.intersection(texts)) or (name == "openssl" and "s_client" in texts):
        sink.add(first.line, "network", f"{calls} uses the network")
    if name in PRIVILEGES or (name == "chmod" and any(re.fullmatch(r"[ugoa]*\+\w*s\w*|[2467]\d{3}", text) for text in texts)):
        sink.add(first.line, "privileges", f"{calls} asks for other rights")
    if name in DELETE or name.startswith("mkfs") or (name == "find" and "-delete" in texts):
        sink.add(first.line, "delete", f"{calls} deletes files")
    if name in BACKGROUND:
        sink.add(first.line, "background", f"{calls} lets something go on by itself")
    module = _module(texts) if PYTHON.fullmatch(name) else ""
    if (name in INSTALLERS or module in ("pip", "uv", "conda", "ensurepip")) and INSTALLING.intersection(texts):
        sink.add(first.line, "install", f"{shown(' '.join([name, *texts[:4]]))} installs software")
    if module in NETWORK_MODULES:
        sink.add(first.line, "network", f"{name} -m {module} uses the network")
    if _shows_environment(name, texts):
        sink.add(first.line, "environment", f"{calls} writes all environment variables")
    if (name in ("base64", "base32") and {"-d", "-D", "--decode"}.intersection(texts)) or (name == "xxd" and "-r" in texts):
        sink.add(first.line, "encoded", f"{calls} decodes data that a reader cannot read")


def _module(texts: list[str]) -> str:
    return texts[texts.index("-m") + 1] if "-m" in texts[:-1] else ""


def _shows_environment(name: str, texts: list[str]) -> bool:
    if name == "env":
        return all(text.startswith("-") or _ASSIGNMENT.match(text) for text in texts)
    if name in ("set", "export", "declare"):
        return not texts or texts in (["-p"], ["-x"], ["-px"], ["-xp"])
    return name == "printenv" or (name == "compgen" and "-e" in texts)


def _interpreter(command: Command, sink: Sink) -> None:
    """Code that is handed to an interpreter: in its words, through a pipe or as a here-document."""
    first, *rest = command.words
    name = name_of(command)
    if name == "eval":
        text = " ".join(word.text for word in rest)
        sink.add(first.line, "eval", f"eval runs a text as code: {shown(text)}")
        if not any(word.computed for word in rest):
            sink.code("shell", text, first.line)
    elif name in ("source", ".") and rest and rest[0].computed:
        sink.add(first.line, "eval", f"{name} runs a file that is only known at run time: {shown(rest[0].text)}")
    elif name in SHELLS:
        _fed(command, "shell", r"-[a-z]*c", sink)
    elif PYTHON.fullmatch(name):
        _fed(command, "python", r"-[A-Za-z]*c", sink)
    elif name in OTHER_LANGUAGES:
        sink.add(first.line, "unparsed", f"{name} runs code that is not looked at")


def _fed(command: Command, language: str, option: str, sink: Sink) -> None:
    first, *rest = command.words
    name = name_of(command)
    at = next((index for index, word in enumerate(rest) if re.fullmatch(option, word.text)), -1)
    operands = [word for word in rest if not word.text.startswith("-")]
    if 0 <= at < len(rest) - 1:
        _code(language, rest[at + 1], name, sink)
    elif operands:
        if operands[0].text.startswith("<("):
            sink.add(first.line, "eval", f"{name} runs what another command writes")
        return
    elif command.body:
        sink.code(language, command.body, command.body_line)
    elif command.before:
        sink.add(first.line, "eval", f"{name} runs what {shown(command.before)} writes")


def _code(language: str, word: Word, name: str, sink: Sink) -> None:
    if word.computed and re.match(r"\s*[$`]", word.text):
        sink.add(word.line, "eval", f"{name} runs a text that is only known at run time: {shown(word.text)}")
    else:
        sink.code(language, word.text, word.line)


def _paths(words: list[Word], sink: Sink) -> None:
    names = [level[0].text.rpartition("/")[2] for level in _levels(words)]
    for word in words:
        if "/dev/tcp/" in word.text or "/dev/udp/" in word.text:
            sink.add(word.line, "network", f"{shown(word.text)} is a network connection")
        elif not TEXT_ONLY.intersection(names) and not (word.text == ".." and "cd" in names):
            _place(word, sink, names)


def _place(word: Word, sink: Sink, names: list[str] | tuple[str, ...]) -> None:
    """A path in a word, also behind `--option=`."""
    text = word.text
    if not text.startswith(("/", "~", ".")):
        text = text.partition("=")[2] if "=" in text else text
    if "/dev/tcp/" in text or "/dev/udp/" in text:
        sink.add(word.line, "network", f"{shown(text)} is a network connection")
    elif outside(text, sink.allowed) and (is_private(text) or not WITH_PATTERNS.intersection(names)):
        sink.add(word.line, "outside-files", f"{shown(text)} lies outside of the code and the declared data")
