"""Fetching packages in a box that has a network and nothing of the owner's in it.

Nothing but requirements that were checked goes in. What comes back is taken for nothing but files.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from time import monotonic

from msgspec import Struct

from scq.clean import line as shown
from scq.descriptors import opened
from scq.errors import BusyError, DependencyError, ScqError
from scq.files import write_atomic
from scq.model import NO_LIMITS, Limits
from scq.ports import Invocation, Mount, Sandbox
from scq.wheelhouse.sources import Index, Tools

POLL_S = 0.1
KILL_S = 10.0
MOST_FILES = 200_000
LOG_TAIL = 1 << 16
TOOLS = "/scq"
"""Where the box shows the programs that fetch."""
# Each begins a line as the tool itself begins it, so that no name of a package or marker can pass for it.
_PIP_UNREACHABLE = re.compile(
    r"(?m)^(?:WARNING: Retrying \(Retry\(total=0\b[^()\n]*\)\) after connection broken by "
    r"|ERROR: Could not install packages due to an (?:OSError|EnvironmentError): (?:HTTPS?ConnectionPool\(|5\d\d )"
    r"|ERROR: HTTP error 5\d\d while getting "
    r"|Could not fetch URL \S+: (?:There was a problem confirming the ssl certificate|connection error)"
    r"|pip\._vendor\.(?:urllib3|requests)\.exceptions\.\w+:)"
)
_UV_UNREACHABLE = re.compile(
    r"(?m)^\s*(?:(?:error|cause|Caused by|├─▶|╰─▶):? *)?(?:error sending request|dns error|tcp connect error|operation timed out"
    r"|Connection refused|HTTP status server error \(5\d\d|Request failed after \d+ retries)"
)
_UV_CONFLICT = re.compile(r"(?m)^\s*(?:× )?No solution found when resolving")
_ASK = "Ask the submitter for requirements that can be had together as wheels."


class UnreachableError(BusyError):
    """The package index does not answer: another call may have more luck."""


class MissingError(DependencyError):
    """A package (`name`) that the index does not have, or has in no form that can be used."""

    def __init__(self, name: str, message: str, advice: str) -> None:
        super().__init__(message, advice)
        self.name = name


class Allowance(Struct, frozen=True):
    """What fetching for one job may take: seconds, bytes, and whether packages may be built."""

    timeout_s: float
    bytes: int
    source_packages: bool = False
    limits: Limits = NO_LIMITS
    """What the box is told of the limits of jobs."""


class Fetcher:
    """Runs pip and uv in boxes that hold nothing but their own work folder below `folder`, the tools and the certificates."""

    def __init__(self, sandbox: Sandbox, folder: str, index: Index, tools: Tools, allowance: Allowance) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.index = index
        self.tools = tools
        self.allowance = allowance
        self.deadline = monotonic() + allowance.timeout_s

    def wheels(self, version: str, python: str, wanted: Sequence[str], constraints: Sequence[str]) -> str:
        """Fetch what is wanted for a Python of the box and return the folder with the files. Raises DependencyError."""
        work = self._work(f"python{version}")
        for file, lines in (("requirements.txt", wanted), ("constraints.txt", constraints)):
            write_atomic(os.path.join(work, file), "".join(f"{line}\n" for line in lines).encode(), mode=0o644, sync=False)
        verb = ["wheel", "--wheel-dir"] if self.allowance.source_packages else ["download", "--only-binary=:all:", "--dest"]
        command = [*verb, "wheels", "--requirement", "requirements.txt", "--constraint", "constraints.txt"]
        code, said = self._pip(python, command, work)
        if code != 0:
            raise self._failure(said, version, python, work)
        return os.path.join(work, "wheels")

    def project(self, python: str, files: Mapping[str, str], options: Sequence[str], cache: str) -> tuple[str, str]:
        """Let uv make the environment of a project from its metadata files only. Raises DependencyError.

        Returns the folder in which it did so, and the folder with all that was fetched: `cache`, relative to the work folder that
        all projects share.
        """
        work = os.path.join(self.folder, "projects")
        if not os.path.isdir(work):
            self._work("projects")
        place = os.urandom(8).hex()  # which nothing that was built there before can have taken
        os.mkdir(os.path.join(work, place), 0o700)
        for name, text in files.items():
            write_atomic(os.path.join(work, place, name), text.encode(), mode=0o644, sync=False)
        fetched = os.path.join(work, cache)
        build = [] if self.allowance.source_packages else ["--no-build"]
        command = [f"{TOOLS}/bin/uv", "sync", "--python", python, "--no-install-project", "--no-progress", *build, *options]
        env = {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy", "UV_CACHE_DIR": fetched}
        code, said = self._run(command, work, env, cwd=place)
        if code == 0:
            return os.path.join(work, place), fetched
        if _UV_UNREACHABLE.search(said) and not _UV_CONFLICT.search(said):
            raise self._unreachable()
        raise DependencyError(f"uv cannot make the environment of the project: {_gist(said)}", _ASK)

    def _work(self, name: str) -> str:
        work = os.path.join(self.folder, name)
        os.mkdir(work, 0o700)
        os.mkdir(os.path.join(work, "tmp"), 0o700)
        return work

    def _pip(self, python: str, command: Sequence[str], work: str) -> tuple[int, str]:
        options = ("--no-input", "--no-cache-dir", "--disable-pip-version-check", "--retries=2", "--timeout=20", "--no-color")
        env = {"PIP_CONFIG_FILE": "/dev/null", "PYTHONPATH": f"{TOOLS}/pip", "PIP_PROGRESS_BAR": "off"}
        if self.index.url:
            env["PIP_INDEX_URL"] = self.index.url
        # No site-packages: what lies there must not mix with pip.
        return self._run([python, "-S", "-m", "pip", *options, *command], work, env)

    def _run(self, command: Sequence[str], work: str, env: Mapping[str, str], cwd: str = ".") -> tuple[int, str]:
        """(exit code, end of what it said) of a command in the box. Raises DependencyError at the end of time or room."""
        invocation = self.sandbox.wrap(
            command,
            work=work,
            cwd=cwd,
            env=self._environment(work) | dict(env),
            mounts=self._mounts(),
            network=True,
            limits=self.allowance.limits,
        )
        log_path = os.path.join(self.folder, "said.txt")
        with open(log_path, "w+b") as log, opened(invocation) as (argv, descriptors):
            process = _start(invocation, argv, descriptors, log.fileno(), self.allowance)
            try:
                self._watch(process, work)
            finally:
                _end(process)
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL))
            return process.returncode, log.read(LOG_TAIL).decode("utf-8", "replace")

    def _watch(self, process: subprocess.Popen[bytes], work: str) -> None:
        pause = POLL_S / 5
        while True:
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                pause = min(1.0, pause * 1.5)
            ended = process.returncode is not None
            if folder_size(self.folder) > self.allowance.bytes:
                what = f"what the job needs is larger than prepare.bytes ({self.allowance.bytes} bytes), or cannot be counted"
                raise DependencyError(what, "Ask for fewer packages, or raise prepare.bytes.")
            if ended:
                return
            if monotonic() > self.deadline:
                what = f"fetching the packages took longer than prepare.timeout ({self.allowance.timeout_s:g} s)"
                raise DependencyError(what, "Try again later, or raise prepare.timeout.")

    def _environment(self, work: str) -> dict[str, str]:
        env = {"HOME": work, "TMPDIR": os.path.join(work, "tmp"), "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        if self.index.certificates:
            env |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), f"{TOOLS}/certificates.pem")
        if self.index.url:
            env["UV_DEFAULT_INDEX"] = self.index.url
        return env | self.index.proxies

    def _mounts(self) -> list[Mount]:
        mounts = [Mount(self.tools.pip, f"{TOOLS}/pip/pip")]
        if self.tools.uv:
            mounts.append(Mount(self.tools.uv, f"{TOOLS}/bin/uv"))
        if self.index.certificates:
            mounts.append(Mount(self.index.certificates, f"{TOOLS}/certificates.pem"))
        if self.index.url.startswith("file://"):
            path = self.index.url.removeprefix("file://")
            mounts.append(Mount(path, path))
        return mounts

    def _unreachable(self) -> UnreachableError:
        return UnreachableError(
            f"the package index ({self.index.label}) cannot be reached", "Try again later; check prepare.index."
        )

    def _failure(self, said: str, version: str, python: str, work: str) -> ScqError:
        """The error that says what pip could not do, in words of the submission."""
        conflict = re.search(r"(?m)^ERROR: Cannot install (.+?) because these package versions have conflicting", said)
        if conflict:
            return DependencyError(f"these packages exclude each other: {shown(conflict[1])}", _ASK)
        if _PIP_UNREACHABLE.search(said):  # then pip goes on to say that it found no distribution
            return self._unreachable()
        missing = re.search(r"(?m)^ERROR: No matching distribution found for (.+)", said)
        if missing is None:
            return DependencyError(f"the packages cannot be fetched: {_gist(said)}", _ASK)
        wish = shown(missing[1].strip(), 100)
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", wish)
        if name is None or self._pip(python, ["index", "versions", name[0]], work)[0] != 0:
            return MissingError(wish, f"{wish}: there is no such package in {self.index.label}", "Check its name.")
        advice = "Ask for another version, or for one that need not be built (prepare.source_packages accepts those that do)."
        return MissingError(name[0], f"{wish}: {self.index.label} has no wheel of it that fits Python {version}", advice)


def _start(
    invocation: Invocation, argv: list[str], descriptors: tuple[int, ...], log: int, allowance: Allowance
) -> subprocess.Popen[bytes]:
    import pwd
    import resource

    # One byte more than allowed, so that the watch sees that it was too much.
    wanted = {resource.RLIMIT_CPU: math.ceil(allowance.timeout_s) + 1, resource.RLIMIT_FSIZE: allowance.bytes + 1}
    held = {number: _within(value, resource.getrlimit(number)[1]) for number, value in wanted.items()}

    def confine() -> None:
        for number, value in held.items():
            resource.setrlimit(number, (value, value))

    user = None if invocation.uid is None or invocation.uid == os.geteuid() else invocation.uid
    try:
        return subprocess.Popen(
            argv,
            env=dict(invocation.env),
            cwd=invocation.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
            start_new_session=True,
            user=user,
            group=None if user is None else pwd.getpwuid(user).pw_gid,
            extra_groups=None if user is None else [],
            preexec_fn=confine,
        )
    except OSError as error:
        raise DependencyError(f"the box for fetching cannot be started ({error.strerror})", "Try again later.") from error


def _within(value: int, hard: int) -> int:
    """A limit that can be set: never above what this process has itself (-1: no limit)."""
    return value if hard < 0 else min(value, hard)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group; the box takes everything inside with it."""
    import signal

    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(KILL_S)


def _gist(said: str) -> str:
    """The most telling lines of what a tool said."""
    lines = [shown(line.strip()) for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith(("error", "×", "╰", "cause", "hint"))]
    return shown(" ".join((telling or lines[-2:])[:4]), 400) or "no reason given"


def folder_size(folder: str) -> int:
    """Bytes of all files below a folder while others change it; more than any allowance where they cannot be counted.

    That is where there are too many of them, and where a folder does not let itself be read.
    """
    closed: list[OSError] = []
    total = count = 0
    for base, folders, names in os.walk(folder, onerror=closed.append):
        count += len(folders) + len(names)
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except OSError as error:
                closed.append(error)
        if count > MOST_FILES or not all(isinstance(error, FileNotFoundError | NotADirectoryError) for error in closed):
            return 1 << 62
        closed.clear()
    return total if all(isinstance(error, FileNotFoundError | NotADirectoryError) for error in closed) else 1 << 62
