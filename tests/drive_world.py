"""Messages as a submitter's client writes them, and jobs in the five layouts: the material for damaged and forged ones."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from typing import Any
from uuid import UUID, uuid5

OWNER, ALICE, CAROL = "owner@hospital.example", "alice@uni.example", "carol@uni.example"
MEMBER = "proposed_file_changes.json"
AT = 1795248828.2938476
SUBMITTED_AT = "2026-11-21T08:13:48.289809Z"
NAMES = UUID("3c7db404-a886-4ac9-81f7-2bb2fea3249a")
FOLDERS = {
    "v1": "app_data/job/inbox/{sender}/v1/{name}",
    "v0": "app_data/job/inbox/{sender}/{name}",
    "by_submitter": "app_data/job/{sender}/{name}",
    "flat": "app_data/job/{name}",
    "status_dir": "app_data/job/inbox/{name}",
}


def file_name(seconds: float = AT, uid: str = str(NAMES)) -> str:
    """Name of a message file."""
    return f"msgv2_{seconds!r}_{uid}.tar.gz"


def change(path: str, content: str | bytes | None = "", **fields: Any) -> dict[str, Any]:
    """One change as it stands in a message; `content` None deletes the file. `fields` replace what is usual."""
    raw = content.encode() if isinstance(content, str) else content
    usual = {
        "id": str(uuid5(NAMES, path.encode("utf-8", "replace").decode())),
        "old_hash": None,
        "new_hash": None if raw is None else hashlib.sha256(raw).hexdigest(),
        "submitted_timestamp": AT,
        "path_in_datasite": path,
        "content": base64.b64encode(content).decode() if isinstance(content, bytes) else content,
        "datasite_email": OWNER,
        "is_deleted": content is None,
        "content_type": None if content is None else "binary" if isinstance(content, bytes) else "text",
    }
    return usual | fields


def folder(name: str, layout: str = "v1", sender: str = ALICE) -> str:
    """Where a job lies in the owner's datasite."""
    return FOLDERS[layout].format(sender=sender, name=name)


def config(name: str = "study", *, drop: tuple[str, ...] = (), **fields: Any) -> str:
    """The config.yaml of a job (JSON is YAML). `drop` leaves keys out, `fields` replace what is usual."""
    usual = {
        "name": name,
        "type": "python",
        "submitted_at": SUBMITTED_AT,
        "entrypoint": "main.py",
        "dependencies": ["numpy"],
        "code_path": "/home/alice/work/main.py",
    }
    return json.dumps({key: value for key, value in (usual | fields).items() if key not in drop})


def job(name: str = "study", layout: str = "v1", sender: str = ALICE, **fields: Any) -> list[dict[str, Any]]:
    """The changes of one job: script, config and one file of code. `fields` go into the config."""
    base = folder(name, layout, sender)
    code = "code/main.py" if layout in ("v0", "v1") else "main.py"
    return [
        change(f"{base}/run.sh", "#!/bin/bash\npython main.py\n"),
        change(f"{base}/config.yaml", config(name, **fields)),
        change(f"{base}/{code}", "print(1)\n"),
    ]


def message(changes: object, sender: str = ALICE, **fields: Any) -> dict[str, Any]:
    """A message with changes, as JSON values. `fields` replace what is usual."""
    usual = {
        "id": str(uuid5(NAMES, "message")),
        "sender_email": sender,
        "message_filename": {"submitted_timestamp": AT, "uid": str(NAMES)},
        "proposed_file_changes": changes,
    }
    return usual | fields


def pack(document: object, member: str = MEMBER) -> bytes:
    """The body of a message file. Bytes are taken as they are, anything else becomes JSON."""
    data = document if isinstance(document, bytes) else json.dumps(document, indent=2, ensure_ascii=False).encode()
    return pack_members([(member, data)])


def pack_members(members: list[tuple[str | tarfile.TarInfo, bytes]]) -> bytes:
    """A gzip tar with the given files; a ready header is written as it is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if isinstance(member, str):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()
