"""What a submission asks to be installed: words of scripts, requirements and project files, and the walk through them. Pure."""

from msgspec import Struct


class Wanted(Struct, frozen=True):
    """One requirement (PEP 508, without addresses), where it stands, and the sha256 it must have, if any are named."""

    text: str
    where: str
    hashes: tuple[str, ...] = ()


class Asked(Struct, frozen=True):
    """A Python that is asked for: `3`, `3.12`, `3.12.1` or a range such as `>=3.11`."""

    version: str
    where: str


class Project(Struct, frozen=True):
    """A pyproject.toml whose environment a script has uv make: its folder, and the options that choose what belongs to it."""

    folder: str
    where: str
    options: tuple[str, ...] = ()


class Declared(Struct, frozen=True):
    """Everything a submission asks for. `uv` is where it first calls uv, empty if it never does."""

    wanted: tuple[Wanted, ...] = ()
    constraints: tuple[Wanted, ...] = ()
    pythons: tuple[Asked, ...] = ()
    projects: tuple[Project, ...] = ()
    uv: str = ""
    notes: tuple[str, ...] = ()
