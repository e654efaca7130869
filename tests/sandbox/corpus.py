"""Jobs that try what no job may do. Each writes the file `escaped` among its results when it succeeds.

Words in braces are filled in by the test: things of the machine outside that the job would like to reach.
"""

from __future__ import annotations

from typing import NamedTuple

PYTHON = "python3 - <<'PYTHON'\n{}\nPYTHON\n"
SUCCESS = 'echo yes > "$OUT/escaped"\n'


class Attack(NamedTuple):
    """A job. `outside` says that the same script succeeds without a box, which proves that the attempt is a real one.

    `causes` are the words the run may end with, `config` further lines of config.yaml.
    """

    name: str
    script: str
    outside: bool = False
    causes: tuple[str, ...] = ("exit",)
    config: str = ""


def shell(name: str, attempt: str, *, outside: bool = False) -> Attack:
    """An escape when the command succeeds."""
    return Attack(name, f"if {attempt}; then {SUCCESS}fi\n", outside)


def python(name: str, attempt: str, *, outside: bool = False) -> Attack:
    """An escape when the program ends with 0."""
    return Attack(name, f"python3 - <<'PYTHON' && {SUCCESS}{attempt}\nPYTHON\ntrue\n", outside)


def system_call(name: str, number: int, *arguments: str) -> Attack:
    """An escape when the system call (of x86-64) is not refused. EFAULT and EINVAL mean that the kernel looked at it."""
    shown = ", ".join(arguments or ("0", "0", "0", "0", "0"))
    return python(
        name,
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"answer = libc.syscall({number}, {shown})\n"
        "sys.exit(answer < 0 and ctypes.get_errno() in (1, 38))",
    )


REACHING_OUT = [
    shell("connect to a server outside", "exec 3<>/dev/tcp/127.0.0.1/{port}", outside=True),
    python(
        "send a datagram outside",
        "import socket\n"
        "link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "link.settimeout(2)\n"
        "link.sendto(b'ping', ('127.0.0.1', {udp}))\n"
        "assert link.recv(9) == b'pong'",
        outside=True,
    ),
    python(
        "connect to an abstract socket",
        "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{abstract}')",
        outside=True,
    ),
    python("connect to a socket file", "import socket\nsocket.socket(socket.AF_UNIX).connect('{socket}')", outside=True),
    shell("look up a name", "getent hosts example.org"),
    python("open a raw socket", "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    python("see an interface", "import socket\nassert [name for _, name in socket.if_nameindex() if name != 'lo']"),
]

READING = [
    shell("read the token file", "cat '{home}/gmail_token.json'", outside=True),
    shell("list the owner's folder", "ls '{home}'", outside=True),
    shell("list the home of root", "ls /root"),
    shell("list the homes", "ls /home"),
    shell("read the SyftBox", "ls '{root}'", outside=True),
    shell("read the list of users", "cat /etc/passwd", outside=True),
    shell("read another job's results", "cat '{other}/stdout.txt'", outside=True),
    shell("read data meant for others", "cat /data/hidden/secret.csv"),
    shell("find sockets of the machine", "ls /run /var/run"),
    shell("see a process of the machine", "kill -0 {pid}", outside=True),
    shell("see the command line of a process", "grep -q pytes[t] /proc/*/cmdline", outside=True),
    shell("find the owner's folder in a command line", "tr '\\0' ' ' < /proc/1/cmdline | grep '{home}'"),
    shell("read the variables of the caller", "grep -q {canary} /proc/*/environ", outside=True),
    shell("find open files of the caller", "ls -l /proc/self/fd /proc/1/fd | grep '{home}'"),
    shell("read kernel messages", "dmesg"),
]

WRITING = [
    shell("write to /usr", "touch /usr/escaped"),
    shell("write to /etc", "touch /etc/escaped"),
    shell("write to the linker's cache", "echo x >> /etc/ld.so.cache"),
    shell("write to the submission", "echo x >> '{code}/run.sh'", outside=True),
    shell("write to the data", "touch /data/shown/new"),
    shell("change the data", "echo x >> /data/shown/secret.csv"),
    shell("remove the data", "rm -f /data/shown/secret.csv"),
    shell("change the rights of the data", "chmod 777 /data/shown/secret.csv"),
    shell("write to another job's results", "echo x >> '{other}/stdout.txt'", outside=True),
    shell("write a kernel setting", "echo 1 > /proc/sys/vm/overcommit_memory"),
    shell("write a control group", "mkdir /sys/fs/cgroup/escaped"),
    shell("send a signal outside", "kill -CONT {pid}", outside=True),
]

POWER = [
    shell("make a user namespace", "unshare -U true"),
    shell("mount a file system", "mount -t tmpfs none /tmp"),
    shell("make the data writable", "mount -o remount,rw,bind /data/shown"),
    shell("change the root", "chroot / true"),
    shell("become root", "su -c true || sudo -n true || test $(id -u) = 0"),
    python("name the machine", "import socket\nsocket.sethostname('escaped')"),
    python("make a device", "import os, stat\nos.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))"),
    python(
        "type into a terminal",
        "import fcntl, os, termios\nfirst, second = os.openpty()\nfcntl.ioctl(second, termios.TIOCSTI, b'x')",
    ),
    system_call("trace a process", 101),
    system_call("use the keyring", 250),
    system_call("load a filter program", 321),
    system_call("handle page faults", 323),
    system_call("make an io ring", 425, "0", "0"),
    system_call("count performance events", 298),
    system_call("read the memory of others", 310),
    system_call("open by handle", 304),
    system_call("load a kernel module", 175),
]

FLOODS = [
    Attack("a fork bomb", "bomb() { bomb | bomb & }\nbomb\nsleep 60\n", causes=("processes", "memory", "cpu", "timeout", "exit")),
    Attack("ten gigabytes of memory", "python3 -c 'x = bytearray(10 << 30)' && " + SUCCESS, causes=("memory", "exit")),
    Attack(
        "memory in many small processes",
        "for i in 1 2 3 4 5 6 7 8; do python3 -c 'import time; x = b\"x\" * (100 << 20); time.sleep(60)' & done; wait\n"
        + SUCCESS,
        causes=("memory",),
    ),
    Attack("one large file", "head -c 10000000000 /dev/zero > large || exit 1\n" + SUCCESS, causes=("exit", "disk")),
    Attack(
        "many files of a middle size",
        "for i in $(seq 1000); do head -c 1000000 /dev/zero > file$i || exit 1; done\n" + SUCCESS,
        causes=("disk",),
    ),
    Attack(
        "a million small files",
        PYTHON.format("for i in range(1_000_000):\n    open(f'small{i}', 'w').close()").rstrip()
        + "\n[ -e small999999 ] && "
        + SUCCESS,
        causes=("disk", "cpu"),
    ),
    Attack("a full /tmp", "head -c 2000000000 /dev/zero > /tmp/full || exit 1\n" + SUCCESS, causes=("exit", "disk", "memory")),
    Attack(
        "a full /dev/shm", "head -c 2000000000 /dev/zero > /dev/shm/f || exit 1\n" + SUCCESS, causes=("exit", "disk", "memory")
    ),
    Attack(
        "output without a line break", "tr '\\0' x < /dev/zero\n" + SUCCESS, causes=("timeout", "cpu"), config="job_timeout: 2s\n"
    ),
    Attack("CPU time", "while :; do :; done\n" + SUCCESS, causes=("cpu",)),
    Attack("time", "sleep 600\n" + SUCCESS, causes=("timeout",), config="job_timeout: 1s\n"),
    Attack("a stopped process", "kill -STOP $$\n" + SUCCESS, causes=("timeout",), config="job_timeout: 1s\n"),
    Attack(
        "deafness to requests",
        "trap '' TERM INT HUP\nwhile :; do sleep 1; done\n" + SUCCESS,
        causes=("timeout",),
        config="job_timeout: 1s\n",
    ),
    Attack("a daemon", "setsid bash -c '(exec -a {daemon} sleep 300) &' < /dev/null > /dev/null 2>&1\nsleep 0.2\n"),
    Attack("closed standard streams", "exec <&- >&- 2>&-\ntrue\n"),
    Attack("a huge environment", "export X=$(head -c 3000000 /dev/zero | tr '\\0' x)\n/bin/true && " + SUCCESS),
    Attack(
        "its own memory overwritten",
        PYTHON.format(
            "import os\nmem = os.open('/proc/self/mem', os.O_RDWR)\n"
            "start = int(open('/proc/self/maps').read().split('-')[0], 16)\n"
            "os.pwrite(mem, b'x' * 4096, start)\nos.kill(os.getpid(), 11)"
        ),
    ),
    python("thousands of open files", "files = [open('/dev/null') for _ in range(100_000)]"),
]

RESULTS = [
    Attack("a link among the results", 'ln -s \'{home}/gmail_token.json\' "$OUT/escaped"\nln -s / "$OUT/all"\n'),
    Attack("a link instead of the results", 'rm -rf "$OUT"\nln -s / "$OUT"\n'),
    shell("a hard link to the system", 'ln /usr/bin/env "$OUT/env"'),
    Attack("a hard link among the results", 'echo x > one\nln one "$OUT/two"\n'),
    Attack("a pipe among the results", 'mkfifo "$OUT/escaped"\n'),
    Attack("names that climb and paint", "cd \"$OUT\"\ntouch $'\\e[31mescaped' $'two\\nlines' $'\\xff' '..escaped' ' '\n"),
    Attack("a set-user-id program", 'cp /bin/true "$OUT/program"\nchmod 6755 "$OUT/program" || chmod 755 "$OUT/program"\n'),
    Attack("results nobody can read", 'mkdir -p "$OUT/deep"\necho x > "$OUT/deep/x"\nchmod 000 "$OUT/deep"\n'),
    Attack("a hole of a terabyte", 'truncate -s 1T "$OUT/hole" || exit 1\n', causes=("exit", "output", "disk")),
    Attack("a permission file among the results", 'echo "rules: []" > "$OUT/syft.pub.yaml"\n'),
    Attack("no working folder any more", "cd /\nrm -rf /job/* /job/.[a-z]* 2>/dev/null\ntrue\n"),
    Attack("a very deep folder", 'cd "$OUT"\nfor i in $(seq 300); do mkdir d && cd d || exit 0; done\ntouch x\n'),
]

ATTACKS = [*REACHING_OUT, *READING, *WRITING, *POWER, *FLOODS, *RESULTS]
