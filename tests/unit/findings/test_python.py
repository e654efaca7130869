"""scq.findings on Python: names are followed through imports, texts and comments mean nothing."""

from __future__ import annotations

import base64
import os

import pytest

from scq.findings import in_code, python

ALLOWED = ("/data/cohort", "../output")


def rules(source: str) -> list[tuple[int, str]]:
    return sorted((item.line, item.rule) for item in in_code([("a.py", source.encode())], run_sh="run.sh", allowed=ALLOWED))


@pytest.mark.parametrize(
    "source",
    [
        'print("curl rm -rf eval subprocess /etc/passwd or so")',
        "# import socket",
        "import re\nre.compile('x')",
        "model.eval()",
        "def requests(): pass\nfor sh in []: print(sh)",
        "import os\nos.environ['A']; os.environ.get('B'); os.getenv('C'); 'D' in os.environ",
        "import multiprocessing, urllib.parse, json, os.path",
        "open('data/x.csv'); open('/data/cohort/x.csv'); open('../output/y.csv', 'w'); open('/tmp/z')",
        "import pandas as pd\npd.read_csv('/data/cohort/x.csv').groupby('a').mean().to_csv('out.csv')",
        "from . import socket_names",
        "x = 'a/../b'\nopen(x)",
        "from pathlib import Path\nPath('out').mkdir()",
        "','.join(names); (a or b).system('x'); [f][0](y)",
        "import os\ngetattr(os, 'getcwd')(); getattr(table, column); getattr(table, 'system')",
    ],
)
def test_harmless_python_gives_nothing(source: str) -> None:
    assert rules(source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import socket", [(1, "network")]),
        ("import urllib.request as u\nu.urlopen(x)", [(1, "network"), (2, "network")]),
        ("from http import client", [(1, "network")]),
        ("x = __import__('socket')", [(1, "network")]),
        ("from importlib import import_module as im\nim('requests')", [(2, "network")]),
        ("import importlib\nimportlib.import_module(x)", [(2, "eval")]),
        ("import subprocess as sp\nsp.run(x)", [(1, "process"), (2, "process")]),
        ("import subprocess\nsubprocess.run(['curl', x])", [(1, "process"), (2, "network"), (2, "process")]),
        ("from os import system\nsystem('rm -rf x')", [(2, "delete"), (2, "process")]),
        ("from os import system as print\nprint('x')", [(2, "process")]),
        ("from os import *\nsystem('x')", [(2, "process")]),
        ("import os\nf = os.system\nf('x')", [(2, "process"), (3, "process")]),
        ("import os\nmap(os.execv, x)", [(2, "process")]),
        ("import os\ngetattr(os, 'system')('x')", [(2, "process"), (2, "process")]),
        ("import os\ngetattr(os, 'sys' + 'tem')('x')", [(2, "eval")]),
        ("__builtins__['eval']", [(1, "eval")]),
        ("import builtins\nbuiltins.exec(x)", [(2, "eval")]),
        ("from builtins import exec as e\ne(x)", [(2, "eval")]),
        ("from builtins import open as o\no('/etc/passwd')", [(2, "outside-files")]),
        ("eval(x)", [(1, "eval")]),
        ("x = [exec]", [(1, "eval")]),
        ("import pickle\npickle.loads(x)", [(2, "eval")]),
        ("import shutil\nshutil.rmtree(x)", [(2, "delete")]),
        ("from pathlib import Path\nPath(x).unlink()", [(2, "delete")]),
        ("some.thing().unlink()", [(1, "delete")]),
        ("import ctypes", [(1, "privileges")]),
        ("import os\nos.setuid(0)", [(2, "privileges")]),
        ("import os\nprint(os.environ)", [(2, "environment")]),
        ("from os import environ as e\ndict(e)", [(2, "environment")]),
        ("import os\nos.environ.items()", [(2, "environment")]),
        ("import os\nos.setsid()", [(2, "background")]),
        ("import base64\nbase64.b64decode(x)", [(2, "encoded")]),
        ("import pip", [(1, "install")]),
        ("open('/etc/passwd')", [(1, "outside-files")]),
        ("open(file='~/x')", [(1, "outside-files")]),
        ("open('../../x')", [(1, "outside-files")]),
        ("open('/data/other')", [(1, "outside-files")]),
        ("import pandas as pd\npd.read_csv('/shared/x.csv')", [(2, "outside-files")]),
        ("P = '/shared/x'\n\nopen(P)", [(3, "outside-files")]),
        ("P = '/proc/self/mem'", [(1, "outside-files")]),
        ("def f(:", [(1, "unparsed")]),
        ("x = 1\nx = = 2", [(2, "unparsed")]),
        ("x = " + "(" * 1000, [(1, "unparsed")]),
        ("x" + ".a()" * 450, []),
    ],
)
def test_a_rule_names_its_line(source: str, found: list[tuple[int, str]]) -> None:
    assert rules(source) == sorted(set(found))


@pytest.mark.parametrize(
    "source", ["(" * 50_000, "-" * 50_000 + "1", "x = " + "9" * 5_000, "x" + ".a()" * 20_000, "[" * 300 + "]" * 300]
)
def test_source_that_is_made_to_break_a_reader_is_only_unparsed(source: str) -> None:
    assert "unparsed" in [rule for _, rule in rules(source)]


def test_source_of_far_too_many_parts_is_only_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert python.NODES <= 300_000, "as many are read in a few seconds"
    monkeypatch.setattr(python, "NODES", 3_000)
    assert rules("x = [" + "1,\n" * 2_900 + "]\n") == []
    assert rules("x = [" + "1,\n" * 3_100 + "]\n")[-1] == (1, "unparsed")


def test_a_long_literal_of_packed_data_is_told() -> None:
    packed = base64.b64encode(os.urandom(600)).decode()
    assert rules(f"x = '{packed}'") == [(1, "encoded")]
    assert rules(f"x = '{packed[:500]}'") == []
