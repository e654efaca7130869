"""Rules on the syntax tree of Python. Nothing is run or imported; names are followed through imports and plain assignments."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from scq.findings.places import is_private, outside
from scq.findings.python_names import (
    BUILTINS,
    ENVIRONMENT_PARTS,
    FILE_CALLS,
    LOADERS,
    METHODS,
    MODULES,
    NAMES,
    RUNS_SHELL,
)
from scq.findings.sink import Sink, shown

_UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
"""What reading hostile source raises: bad syntax, null bytes and huge numbers, nesting, far too much of it."""
NODES = 300_000
"""Parts of a syntax tree that are looked at: about as many as a megabyte of ordinary source has."""
_SENTENCES = {
    "network": "uses the network",
    "process": "starts other programs",
    "eval": "runs code that is made while it runs",
    "delete": "deletes files",
    "privileges": "asks for other rights, or calls the system below Python",
    "background": "lets something go on by itself",
    "encoded": "decodes data that a reader cannot read",
    "install": "installs software",
}


def in_python(text: str, line: int, sink: Sink) -> None:
    """Put what the rules find in a Python source, whose first line is `line`, into the sink."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        _Walk(tree, line - 1, sink).judge()
    except _UNPARSED as error:
        at = line - 1 + (getattr(error, "lineno", None) or 1)
        sink.add(at, "unparsed", f"this Python cannot be read: {_why(error)}")


def _why(error: BaseException) -> str:
    return shown(getattr(error, "msg", "") or str(error) or "it is nested too deeply or too long")


class _Walk:
    """One look at every node of one tree."""

    def __init__(self, tree: ast.AST, offset: int, sink: Sink) -> None:
        self.tree = tree
        self.offset = offset
        self.sink = sink
        self.parents: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []
        self.names: dict[str, str] = {}
        """Name in the file → dotted name of what it stands for."""
        self.stars: list[str] = []
        """Modules of which every name was imported."""
        self.texts: dict[str, str] = {}
        """Names that are assigned a text."""
        for node in ast.walk(tree):
            self.nodes.append(node)
            if len(self.nodes) > NODES:
                raise ValueError(f"it has more than {NODES} parts")
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def judge(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imported(node)
        for node in self.nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.assigned(node.targets[0].id, node.value)
        for node in self.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and not isinstance(self.parents.get(node), ast.Attribute):
                self.named(node)
            elif isinstance(node, ast.Call):
                self.called(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and is_private(node.value):
                self.path(node, node.value)

    def add(self, node: ast.AST, rule: str, what: str) -> None:
        self.sink.add(getattr(node, "lineno", 1) + self.offset, rule, what)

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                self.names[alias.asname or first] = alias.name if alias.asname else first
                self.module(node, alias.name)
            return
        module = node.module or ""
        if node.level:
            return
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(module)
            else:
                self.names[alias.asname or alias.name] = f"{module}.{alias.name}"
            self.module(node, f"{module}.{alias.name}")

    def module(self, node: ast.AST, name: str) -> None:
        """Importing a module that is there for one thing is a finding of its own."""
        known = _longest(name, MODULES)
        if known:
            self.add(node, MODULES[known], f"{shown(known)} is imported: it {_SENTENCES[MODULES[known]]}")

    def assigned(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.texts[name] = value.value
        dotted = self.dotted(value) if isinstance(value, ast.Name | ast.Attribute | ast.Call) else ""
        if dotted and name not in self.names:
            self.names[name] = dotted

    def dotted(self, node: ast.AST) -> str:
        """The full name of what an expression stands for, empty when that is not known."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            first = self.names.get(node.id, "")
            if not first and not parts:
                starred = (f"{star}.{node.id}" for star in self.stars if f"{star}.{node.id}" in NAMES)
                first = next(starred, node.id if node.id in BUILTINS else "")
        elif isinstance(node, ast.Call):
            first = self.made(node)
        else:
            first = ""
        return ".".join([first, *reversed(parts)]).removeprefix("builtins.") if first else ""

    def made(self, node: ast.Call) -> str:
        """What a call gives, where it is another way to spell a name: `__import__("os")`, `getattr(os, "system")`."""
        last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if not isinstance(node.func, ast.Name) and last not in ("__import__", "import_module", "getattr", "Path"):
            # Most calls in a long chain of them end here, so that looking at each of them stays cheap.
            return ""
        name = self.dotted(node.func)
        values = [self.text(value) for value in node.args[:2]]
        if name in ("__import__", "importlib.import_module") and values and values[0]:
            return values[0]
        if name == "getattr" and len(values) == 2 and values[1]:
            base = self.dotted(node.args[0])
            return f"{base}.{values[1]}" if base else ""
        return "pathlib.Path" if name == "pathlib.Path" else ""

    def text(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        return self.texts.get(node.id) if isinstance(node, ast.Name) else None

    def named(self, node: ast.Name | ast.Attribute) -> None:
        """A name of the tables, whether it is called or only handed on."""
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            return
        dotted = self.dotted(node)
        known = _longest(dotted, NAMES)
        if known and (known == dotted or known in MODULES):
            self.add(node, NAMES[known], f"{shown(dotted)} {_SENTENCES[NAMES[known]]}")
        elif dotted in ("os.environ", "os.environb") and not isinstance(self.parents.get(node), ast.Subscript | ast.Compare):
            self.add(node, "environment", f"{dotted} is read as a whole")
        elif dotted.startswith("os.environ.") and dotted.removeprefix("os.environ.") in ENVIRONMENT_PARTS:
            self.add(node, "environment", f"{shown(dotted)} reads all environment variables")

    def called(self, node: ast.Call) -> None:
        dotted = self.dotted(node.func)
        if dotted in ("__import__", "importlib.import_module"):
            name = self.text(node.args[0]) if node.args else None
            if name is None:
                self.add(node, "eval", f"{dotted} imports a module whose name is only known at run time")
            else:
                self.module(node, name)
        elif dotted == "getattr" and len(node.args) > 1:
            self.fetched(node)
        elif dotted in RUNS_SHELL:
            self.started(node)
        elif dotted in LOADERS:
            self.add(node, "eval", f"{dotted} can run code that is in the file")
        elif not dotted and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            self.add(node, "delete", f".{node.func.attr}() deletes files")
        if dotted in FILE_CALLS or _longest(dotted, FILE_CALLS) or dotted.rpartition(".")[2].startswith("read_"):
            for value in self.arguments(node):
                text = self.text(value)
                if text is not None:
                    self.path(value, text)

    def fetched(self, node: ast.Call) -> None:
        base = self.dotted(node.args[0])
        name = self.text(node.args[1])
        whole = f"{base}.{name}" if base else ""
        if name is not None and _longest(whole, NAMES):
            self.add(node, NAMES[_longest(whole, NAMES)], f"{shown(whole)} is fetched by its name")
        elif name is None and (base in ("os", "builtins", "subprocess", "__builtins__") or base in MODULES):
            self.add(node, "eval", f"getattr takes something out of {shown(base)} whose name is only known at run time")

    def started(self, node: ast.Call) -> None:
        """The command line of a program that is started is looked at as a script."""
        first = node.args[0] if node.args else None
        if isinstance(first, ast.List | ast.Tuple):
            words = [self.text(item) or ("python" if self.dotted(item) == "sys.executable" else "_") for item in first.elts]
            text = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        else:
            text = (self.text(first) if first is not None else None) or ""
        if text:
            self.sink.code("shell", text, node.lineno + self.offset)

    def arguments(self, node: ast.Call) -> Iterator[ast.expr]:
        yield from node.args
        yield from (keyword.value for keyword in node.keywords)

    def path(self, node: ast.AST, text: str) -> None:
        if outside(text, self.sink.allowed) and "\n" not in text:
            self.add(node, "outside-files", f"{shown(text)} lies outside of the code and the declared data")


def _longest(name: str, table: dict[str, str] | frozenset[str]) -> str:
    """The longest beginning of a dotted name that is in a table, empty when none is."""
    while name and name not in table:
        name = name.rpartition(".")[0]
    return name
