"""Asks an installed syft-perms who may do what. Runs inside the peer's environment, once for many cases.

Standard input: [{"owner": …, "files": {path: text}, "folders": [path], "questions": [[path, address, level]]}]. Each case
is laid out in a folder of its own. Standard output: for each a list of true and false, null when the peer refuses to read it.
"""

import json
import sys
import tempfile
from pathlib import Path

from syft_perms import SyftPermContext


def answers(case):
    with tempfile.TemporaryDirectory() as top:
        datasite = Path(top) / case["owner"]
        datasite.mkdir()
        for folder in case["folders"]:
            (datasite / folder).mkdir(parents=True, exist_ok=True)
        for path, text in case["files"].items():
            (datasite / path).parent.mkdir(parents=True, exist_ok=True)
            (datasite / path).write_text(text, encoding="utf-8")
        try:
            context = SyftPermContext(datasite=datasite)
        except Exception as error:  # whatever the peer says of a file it does not take
            print(error, file=sys.stderr)
            return None
        return [bool(getattr(context.open(path), f"has_{level}_access")(who)) for path, who, level in case["questions"]]


json.dump([answers(case) for case in json.load(sys.stdin)], sys.stdout)
