"""The system calls a job never needs, refused by a kernel filter made with libseccomp.

Everything not named here is allowed: programs of strangers are many, and the namespaces do the separating. The filter takes away
the calls with which kernels were broken out of before, the ones that reach past the namespaces, and set-id bits on files.
Sources: seccomp(2), syscalls(2), libseccomp 2.5 seccomp_rule_add(3), seccomp_export_bpf(3).
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from importlib import import_module
from typing import Any

from scq.errors import ConfigError

NAMES = """
    keyctl add_key request_key
    ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd
    mount umount umount2 move_mount mount_setattr open_tree open_tree_attr fsopen fsconfig fsmount fspick pivot_root
    setns unshare
    bpf perf_event_open userfaultfd fanotify_init lookup_dcookie
    name_to_handle_at open_by_handle_at quotactl quotactl_fd acct swapon swapoff
    kexec_load kexec_file_load init_module finit_module delete_module create_module reboot nfsservctl
    settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex stime
    syslog vhangup iopl ioperm
"""
REFUSED = tuple(NAMES.split())
"""Fail with EPERM."""
UNSUPPORTED = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "openat2")
"""Fail with ENOSYS, so that programs fall back: what these are asked for lies in memory, where no filter can look."""
COUNT = len(REFUSED) + len(UNSUPPORTED)
CORE = ("keyctl", "ptrace", "mount", "unshare", "setns", "bpf", "open_by_handle_at", "init_module", "clone3", "io_uring_setup")
"""Without these a filter is not worth the name, so a library that does not know one is refused."""
NUMBERS = {"fchmodat2": 452, "open_tree_attr": 467}
"""Calls younger than libraries in use; from 424 on numbers are the same on every processor."""

NAMESPACE_FLAGS = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET."""
TERMINAL_REQUESTS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into a terminal."""
FAMILIES = (1, 2, 10, 16)
"""Sockets of AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK. Others, such as AF_VSOCK, are not held by a network namespace."""
FAMILIES_KNOWN = 64
MODE_ARGUMENTS = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
OPEN_ARGUMENTS = {"open": (1, 2), "openat": (2, 3)}
"""Which arguments are flags and mode; the mode counts only when a file is made."""
LOW_WORD = 0xFFFFFFFF
"""The kernel reads these arguments as 32 bits; what a program leaves in the upper half must not hide them."""
INSTALL = "Install it: apt-get install libseccomp2."


@cache
def program() -> bytes:
    """The filter for this processor, in the form the kernel loads. Raises ConfigError without a usable libseccomp."""
    try:
        library: Any = import_module("pyseccomp")
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"sandbox: the system library libseccomp.so.2 cannot be loaded ({error})", INSTALL) from error
    try:
        made = library.SyscallFilter(library.ALLOW)
        # Calls in the manner of another processor (32 bits, x32) would carry other numbers past the filter.
        made.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
        _Rules(library, made).add_all()
        with os.fdopen(os.memfd_create("seccomp", os.MFD_CLOEXEC), "rb") as file:
            made.export_bpf(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise ConfigError(f"sandbox: no system call filter can be made ({error})", INSTALL) from error


class _Rules:
    """Adds the rules above to a filter."""

    def __init__(self, library: Any, made: Any) -> None:
        self._library = library
        self._filter = made

    def add_all(self) -> None:
        for name in REFUSED:
            self._refuse(name)
        for name in UNSUPPORTED:
            self._refuse(name, code=errno.ENOSYS)
        for flag in NAMESPACE_FLAGS:
            self._refuse("clone", self._has(0, flag))
        for request in TERMINAL_REQUESTS:
            self._refuse("ioctl", self._is(1, request))
        for family in set(range(FAMILIES_KNOWN)) - set(FAMILIES):
            self._refuse("socket", self._is(0, family), code=errno.EAFNOSUPPORT)
        self._refuse_set_id()
        self._refuse_personalities()

    def _refuse_set_id(self) -> None:
        for bit in (stat.S_ISUID, stat.S_ISGID):
            for name, mode in MODE_ARGUMENTS.items():
                self._refuse(name, self._has(mode, bit))
            for name, (flags, mode) in OPEN_ARGUMENTS.items():
                for making in (os.O_CREAT, os.O_TMPFILE & ~os.O_DIRECTORY):
                    self._refuse(name, self._has(flags, making), self._has(mode, bit))

    def _refuse_personalities(self) -> None:
        """Only the usual one (no bit) and the question which one it is (all bits) remain.

        A filter can compare an argument only once per rule, so this says: no bit is set whose neighbour is not.
        """
        for bit in range(32):
            one, neighbour = 1 << bit, 1 << (bit + 1) % 32
            self._refuse("personality", self._library.Arg(0, self._library.MASKED_EQ, one | neighbour, one))

    def _refuse(self, name: str, *conditions: Any, code: int = errno.EPERM) -> None:
        number = self._library.resolve_syscall(self._library.Arch.NATIVE, name)
        if number == -1:  # the library does not know it
            if name in CORE:
                raise ConfigError(f"sandbox: libseccomp is too old, it does not know {name}", "Install a newer libseccomp2.")
            if name not in NUMBERS:
                return
            number = NUMBERS[name]
        self._filter.add_rule(self._library.ERRNO(code), number, *conditions)

    def _has(self, argument: int, bit: int) -> Any:
        return self._library.Arg(argument, self._library.MASKED_EQ, bit, bit)

    def _is(self, argument: int, value: int) -> Any:
        return self._library.Arg(argument, self._library.MASKED_EQ, LOW_WORD, value)
