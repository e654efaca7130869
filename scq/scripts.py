"""The run.sh of a submitted job, as each generation of owner software expects it. Pure.

Facts: docs/layouts.md. The text is deterministic, so that equal submissions have equal digests.
"""

from __future__ import annotations

import shlex

HEAD = "#!/bin/bash\nset -euo pipefail\n"
PYTHON = "3.12"


def status_folder_python(entry: str, *, has_requirements: bool) -> str:
    """Status-folder generation: the script starts in the code folder and installs what requirements.txt names."""
    install = "pip install -r requirements.txt\n" if has_requirements else ""
    return f"#!/bin/bash\nset -e\n{install}python {shlex.quote(entry)}\n"


def status_folder_bash(script: str) -> str:
    """Status-folder generation: start the bash script that lies beside run.sh."""
    return f"#!/bin/bash\nset -e\n./{shlex.quote(script)}\n"


def markers_python(entry: str, dependencies: tuple[str, ...], *, folder: str, has_pyproject: bool) -> str:
    """Marker generation: the script starts in the job folder; `folder` is the project folder below it, empty for one file."""
    project = shlex.quote(folder) if folder else ""
    if has_pyproject:
        environment = f"cd {project} && uv sync --python {PYTHON} && cd ..\nsource {project}/.venv/bin/activate\n"
    else:
        environment = f"uv venv --python {PYTHON}\nsource .venv/bin/activate\n"
    where = f"export PYTHONPATH={project}:${{PYTHONPATH:-}}\n" if folder else ""
    script = f"{folder}/{entry}" if folder else entry
    return f"{HEAD}export UV_SYSTEM_PYTHON=false\n{environment}{_install(dependencies)}{where}python {shlex.quote(script)}\n"


def inbox_python(entry: str, dependencies: tuple[str, ...], *, has_pyproject: bool) -> str:
    """Inbox/review generation: the script starts in the job folder and works in `code/`."""
    sync = f"uv sync --python {PYTHON}\n" if has_pyproject else ""
    return (
        f"{HEAD}export UV_SYSTEM_PYTHON=false\ncd code\nuv venv --python {PYTHON}\nsource .venv/bin/activate\n"
        f"{sync}{_install(dependencies)}export PYTHONPATH=.:${{PYTHONPATH:-}}\npython {shlex.quote(entry)}\n"
    )


def inbox_folder() -> str:
    """Inbox/review generation: a submitted folder brings its own run.sh, which expects to start in its folder."""
    return f"{HEAD}cd code\nexec bash ./run.sh\n"


def _install(dependencies: tuple[str, ...]) -> str:
    if not dependencies:
        return ""
    return "uv pip install " + " ".join(_double_quoted(name) for name in dependencies) + "\n"


def _double_quoted(word: str) -> str:
    escaped = "".join("\\" + letter if letter in '\\"$`' else letter for letter in word)
    return f'"{escaped}"'
