"""The generated run.sh of each generation: valid bash, deterministic, and safe whatever the names are."""

from __future__ import annotations

import subprocess

import pytest

from scq import scripts

NASTY = 'x"; touch owned; echo "$HOME `id` \\'
EVERY = [
    scripts.status_folder_python("main.py", has_requirements=True),
    scripts.status_folder_python("a b'c.py", has_requirements=False),
    scripts.status_folder_bash("script.sh"),
    scripts.markers_python("main.py", (), folder="", has_pyproject=False),
    scripts.markers_python("main.py", ("numpy", NASTY), folder="my project", has_pyproject=True),
    scripts.markers_python("main.py", ("pandas>=2",), folder="project", has_pyproject=False),
    scripts.inbox_python("main.py", ("numpy",), has_pyproject=True),
    scripts.inbox_python(NASTY, (NASTY,), has_pyproject=False),
    scripts.inbox_folder(),
]


@pytest.mark.parametrize("text", EVERY)
def test_every_script_is_valid_bash_that_stops_at_the_first_failure(text: str) -> None:
    assert text.startswith(("#!/bin/bash\nset -e\n", "#!/bin/bash\nset -euo pipefail\n"))
    assert text.endswith("\n")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_status_folder_form_installs_only_what_is_named() -> None:
    assert "pip install -r requirements.txt\npython main.py\n" in EVERY[0]
    assert "pip" not in EVERY[1]
    assert EVERY[2].endswith("\n./script.sh\n")


def test_the_marker_form_starts_in_the_job_folder() -> None:
    assert "uv venv --python 3.12\nsource .venv/bin/activate\npython main.py\n" in EVERY[3]
    assert "cd 'my project' && uv sync --python 3.12 && cd ..\nsource 'my project'/.venv/bin/activate\n" in EVERY[4]
    assert "export PYTHONPATH='my project':${PYTHONPATH:-}\npython 'my project/main.py'\n" in EVERY[4]
    assert 'uv pip install "pandas>=2"\n' in EVERY[5]


def test_the_inbox_form_works_in_the_code_folder() -> None:
    assert "cd code\nuv venv" in EVERY[6]
    assert "uv sync --python 3.12\nuv pip install" in EVERY[6]
    assert "uv sync" not in EVERY[7]
    assert EVERY[8].endswith("cd code\nexec bash ./run.sh\n")


def test_a_nasty_package_name_stays_one_word() -> None:
    (install,) = [line for line in EVERY[7].splitlines() if line.startswith("uv pip install")]
    spoken = subprocess.run(
        ["bash", "-c", install.replace("uv pip install", "printf '%s|'")], capture_output=True, text=True, check=True
    )
    assert spoken.stdout == NASTY + "|"
