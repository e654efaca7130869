"""Requirements and project files in the forms that standards give them (PEP 440, 508, 621, 723, 735), checked. Pure."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from scq.clean import line as shown
from scq.errors import DependencyError

MOST = 500
"""Entries of one list."""
WORD_LIMIT = 500
"""Characters of one requirement."""
PROJECT_SETTINGS = {
    "constraint-dependencies",
    "default-groups",
    "dev-dependencies",
    "environments",
    "managed",
    "override-dependencies",
    "package",
    "prerelease",
    "required-version",
    "resolution",
}
"""What of `[tool.uv]` changes neither where packages come from nor whether they are built."""
INLINE_LIMIT = 1 << 16
"""Characters of a script in which its metadata is looked for."""
KEY_PARTS = 16
"""Parts of one dotted key: what reading a document costs grows with their square."""
_TOML_TEXTS = re.compile(
    r'''"""(?:\\.?|[^\\])*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|#[^\n]*''', re.DOTALL
)
"""Strings and comments of a TOML document; a long what is not closed takes the rest."""


def fits(version: str, minor: str) -> bool:
    """Whether a Python such as `3.11` can be what `version` asks for.

    A patch release cannot be told apart and counts as there.
    """
    if re.fullmatch(r"\d+(\.\d+){0,2}", version):
        parts = version.split(".")[:2]
        return minor.split(".")[: len(parts)] == parts
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(version)
    except InvalidSpecifier:
        return False
    return any(wanted.contains(f"{minor}.{patch}", prereleases=True) for patch in (0, 99))


def requirement(text: str, where: str) -> str:
    """One requirement, checked and written anew: name, extras, versions, marker. Raises DependencyError for anything else."""
    from packaging.requirements import InvalidRequirement, Requirement

    name = shown(text, 80)
    if len(text) > WORD_LIMIT or not text.isprintable():
        raise DependencyError(f"{where}: {name!r} is not a requirement", "Name a package, such as numpy>=1.26.")
    if text.startswith("-"):
        raise DependencyError(f"{where}: {name!r} looks like an option, not like a package", "Remove it.")
    if re.match(r"[./~]|[A-Za-z]+\+|[A-Za-z]+:", text) or "://" in text or "/" in text.partition(";")[0] or "\\" in text:
        raise DependencyError(
            f"{where}: {name!r} is a path or an address; packages are only taken from the package index",
            "Name a package of the index, or put its code into the submission.",
        )
    try:
        parsed = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        what = f"{where}: {name!r} is not a requirement ({shown(str(error))})"
        raise DependencyError(what, "Name a package, such as numpy>=1.26.") from error
    if parsed.url:
        raise DependencyError(f"{where}: {name!r} names an address", "Name a package of the index.")
    return str(parsed)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """A TOML document. Raises DependencyError."""
    import tomllib

    if any(key.count(".") >= KEY_PARTS for key in re.split(r"[\n=,{}\[\]]", _TOML_TEXTS.sub("x", text))):
        raise DependencyError(f"{where}: a key has more than {KEY_PARTS} parts", "Ask for a corrected file.")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DependencyError(f"{where}: is not TOML ({shown(str(error))})", "Ask for a corrected file.") from error


def check_project(table: dict[str, Any], path: str) -> None:
    """Raises DependencyError when a project takes anything from elsewhere than the package index."""
    project, uv = table_of(table, "project"), table_of(table_of(table, "tool"), "uv")
    foreign = sorted(set(uv) - PROJECT_SETTINGS)
    if foreign:
        what = f"{path}: tool.uv.{shown(foreign[0], 40)} is not supported here"
        raise DependencyError(what, "Only packages of the package index can be had; ask for a project without it.")
    groups = [table_of(project, "optional-dependencies"), table_of(table, "dependency-groups")]
    lists = [("dependencies", project.get("dependencies"))] + [pair for group in groups for pair in group.items()]
    lists += [(key, uv.get(key)) for key in ("dev-dependencies", "constraint-dependencies", "override-dependencies")]
    for name, found in lists:
        items = found if isinstance(found, list) else []
        for text in strings([item for item in items if not isinstance(item, dict)], f"{path}: {name}"):
            requirement(text, f"{path}: {shown(name, 40)}")


def inline_metadata(script: str) -> dict[str, Any] | None:
    """The metadata block in the first `INLINE_LIMIT` characters of a script (PEP 723), None when there is none."""
    lines = iter(script[:INLINE_LIMIT].splitlines())
    for line in lines:
        if line.rstrip() != "# /// script":
            continue
        block = [text.rstrip() for text in takewhile(lambda text: text == "#" or text.startswith("# "), lines)]
        if "# ///" in block:
            last = len(block) - 1 - block[::-1].index("# ///")
            return parse_toml("\n".join(text[2:] for text in block[:last]), "the metadata inside a script")
    return None


def strings(value: object, where: str) -> list[str]:
    """A list of texts; nothing for None. Raises DependencyError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value) or len(value) > MOST:
        raise DependencyError(f"{where}: is not a list of requirements", "Ask for a corrected file.")
    return value


def table_of(table: dict[str, Any], name: str) -> dict[str, Any]:
    """The table of that name; an empty one where there is none."""
    value = table.get(name)
    return value if isinstance(value, dict) else {}
