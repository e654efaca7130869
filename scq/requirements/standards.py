"""Requirements and project files in the forms that standards give them (PEP 440, 508, 621, 723, 735), checked. Pure."""

from __future__ import annotations

import re
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
_INLINE = re.compile(r"(?m)^# /// script\s*$\n((?:^#(?: .*)?$\n)+?)^# ///\s*$")


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


def check_lock(text: str, path: str, index: str) -> None:
    """Raises DependencyError when a uv.lock takes anything from elsewhere than the package index, `index` or the public one."""
    allowed = {"https://pypi.org/simple", index.rstrip("/") or "https://pypi.org/simple"}
    packages = parse_toml(text, path).get("package", [])
    for package in packages if isinstance(packages, list) else []:
        source = table_of(package, "source") if isinstance(package, dict) else {}
        own = source.get("virtual", source.get("editable")) == "."
        if not own and str(source.get("registry", "")).rstrip("/") not in allowed:
            name = shown(str(package.get("name")) if isinstance(package, dict) else "", 60)
            what = f"{path}: {name} comes from elsewhere than the package index"
            raise DependencyError(what, "Ask for a project that takes everything from the package index.")


def inline_metadata(script: str) -> dict[str, Any] | None:
    """The metadata block inside a script (PEP 723), None when there is none."""
    found = _INLINE.search(script)
    if found is None:
        return None
    return parse_toml("".join(line[2:] or "\n" for line in found[1].splitlines(keepends=True)), "the metadata inside a script")


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
