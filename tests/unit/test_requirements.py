"""What scripts, requirements files and projects ask for, and what of it is refused."""

from __future__ import annotations

import pytest

from scq.errors import DependencyError
from scq.requirements import Asked, Declared, Project
from scq.requirements.gathering import MOST, READ_LIMIT
from scq.requirements.lock import check_lock
from scq.requirements.reading import declared
from scq.requirements.shell import commands, logical_lines, split_options
from scq.requirements.standards import fits, inline_metadata, requirement

PROJECT = '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["tqdm"]\n'
HASH = "sha256:" + "a" * 64


def asked(script: str, *dependencies: str, **files: str) -> Declared:
    """What a submission with this run.sh asks for; `__` in a file name stands for a dot, `_S_` for a slash."""
    named = {name.replace("__", ".").replace("_S_", "/"): text for name, text in files.items()}
    return declared("run.sh", dependencies, {"run.sh": "#!/bin/bash\n" + script, **named}.get)


def names(script: str, *dependencies: str, **files: str) -> list[str]:
    return [wish.text for wish in asked(script, *dependencies, **files).wanted]


def refused(script: str, **files: str) -> str:
    with pytest.raises(DependencyError) as caught:
        asked(script, **files)
    assert caught.value.advice
    return str(caught.value)


def test_a_submission_that_installs_nothing_asks_for_nothing() -> None:
    assert asked("cd code\nexport A=1\npython main.py | tee log\necho done\n") == Declared()


@pytest.mark.parametrize(
    "line",
    [
        "pip install six idna",
        "pip3 install six idna",
        "python -m pip install --user -q six idna",
        "python3.11 -I -m pip install six idna",
        "uv pip install 'six' \"idna\"",
        "uv --quiet pip install --system six idna",
        "FOO=1 exec pip install six idna",
        "if ! pip install six idna; then exit 1; fi",
        "true && pip install six idna || exit 1",
        "pip install six idna >/dev/null 2>&1",
        "pip install six \\\n  idna",
        "(pip install six; pip install idna)",
        "bash -c 'pip install six idna'",
        "pip install six idna # don't worry",
        ".venv/bin/pip install six idna",
        "uv run --no-project --with six --with idna python main.py",
    ],
)
def test_every_usual_form_of_an_install_line_is_understood(line: str) -> None:
    assert names(line) == ["six", "idna"]


def test_the_place_of_a_requirement_names_script_and_line() -> None:
    assert asked("cd code\n\npip install six\n").wanted[0].where == "run.sh line 4"


def test_versions_extras_and_markers_are_kept() -> None:
    assert names("pip install 'a[b,c]>=1,<2' 'd; python_version<\"3.9\"'") == ["a[b,c]<2,>=1", 'd; python_version < "3.9"']


def test_dependencies_of_the_metadata_come_with_the_lines() -> None:
    assert names("pip install six", "idna>=3") == ["six", "idna>=3"]


def test_what_stands_in_comments_strings_and_here_documents_is_not_installed() -> None:
    script = "# pip install a\necho 'pip install b'\ncat > x <<EOF\npip install c\nEOF\npip install d\n"
    assert names(script) == ["d"]


def test_scripts_that_are_called_are_read_where_they_run() -> None:
    found = asked("cd code\nexec bash ./run.sh\n", code_S_run__sh="pip install -r req.txt", code_S_req__txt="six\n")
    assert [(wish.text, wish.where) for wish in found.wanted] == [("six", "code/req.txt line 1")]


def test_scripts_that_call_each_other_come_to_an_end() -> None:
    assert names("bash other.sh", other__sh="pip install six\nbash run.sh") == ["six"]


def test_the_folder_changed_to_in_parentheses_ends_with_them() -> None:
    files = {"a_S_req__txt": "six", "req__txt": "idna"}
    assert names("(cd a && pip install -r req.txt)\npip install -r req.txt", **files) == ["six", "idna"]


def test_a_variable_is_reported_and_not_guessed() -> None:
    found = asked('pip install "$PACKAGE" six\n')
    assert [wish.text for wish in found.wanted] == ["six"]
    assert "$PACKAGE" in found.notes[0]


def test_a_requirements_file_named_through_a_variable_is_found_by_its_name() -> None:
    assert names('pip install -r "$CODE_DIR/requirements.txt"', requirements__txt="six") == ["six"]


def test_what_other_tools_need_is_reported() -> None:
    assert "conda" in asked("conda install numpy").notes[0]
    assert "uv tool" in asked("uv tool install ruff").notes[0]


def test_nested_files_constraints_hashes_and_comments_of_requirements_files_are_read() -> None:
    found = asked(
        "pip install -r requirements.txt",
        requirements__txt=f"\ufeff# x\nsix==1.17.0 \\\n  --hash={HASH}  # y\n-r sub/more.txt\n-c limits.txt\n--prefer-binary\n",
        sub_S_more__txt="idna\n-r ../requirements.txt\n",
        limits__txt="idna<4\n",
    )
    assert [(wish.text, wish.hashes) for wish in found.wanted] == [("six==1.17.0", (HASH,)), ("idna", ())]
    assert [wish.text for wish in found.constraints] == ["idna<4"]


@pytest.mark.parametrize(
    "word",
    [
        "./six",
        "/etc/passwd",
        "../x",
        "~/x",
        "file:x",
        "git+https://h/x",
        "https://h/x.whl",
        "six@https://h/x",
        "six @ file:///x",
        "a/b",
        "x.whl/../y",
        "C:\\x",
        "six==1 --index-url http://h",
        "six @ elsewhere",
        "six;",
        "a\x1bb",
        "=1",
        "x" * 600,
        "((" * 200,
    ],
)
def test_what_is_not_a_plain_requirement_is_refused(word: str) -> None:
    with pytest.raises(DependencyError, match="^here: "):
        requirement(word, "here")


@pytest.mark.parametrize("word", ["--index-url=http://h", "-rx", "-", "--"])
def test_a_dependency_that_would_be_an_option_is_refused(word: str) -> None:
    with pytest.raises(DependencyError, match="looks like an option"):
        asked("true", word)


@pytest.mark.parametrize(
    "line",
    [
        "pip install --index-url http://h six",
        "pip install -i http://h six",
        "pip install -ihttp://h six",
        "uv pip install --default-index=http://h six",
        "pip install --find-links http://h six",
        "pip install -r requirements.txt",
    ],
)
def test_a_line_that_takes_packages_from_elsewhere_is_refused(line: str) -> None:
    said = refused(line, requirements__txt="--extra-index-url http://h\nsix")
    assert "takes packages from elsewhere" in said
    assert "line" in said


def test_packages_that_the_submission_brings_itself_are_not_fetched() -> None:
    assert names("pip install --no-index --find-links wheels six") == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("pip install -r ../x.txt", "outside the submission"),
        ("pip install -r /etc/passwd", "outside the submission"),
        ("pip install -r missing.txt", "not in the submission"),
        ("pip install -e ./lib", "editable"),
        ("pip install --unheard-of six", "not known here"),
        ("pip install -r", "lacks its value"),
        ("pip install .", "no pyproject.toml"),
        ("uv sync --extra --index-url=http://h", "is not a name"),
    ],
)
def test_lines_that_cannot_be_followed_are_refused_with_their_place(line: str, what: str) -> None:
    said = refused(line) if line.endswith(".") else refused(line, pyproject__toml=PROJECT)
    assert said.startswith("run.sh line 2")
    assert what in said


def test_more_packages_than_anybody_needs_are_refused() -> None:
    assert str(MOST) in refused("pip install " + " ".join(f"p{number}" for number in range(MOST + 1)))


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("uv venv --python 3.12", "3.12"),
        ("uv venv -p python3.12", "3.12"),
        ("uv venv --python=cpython@3.12.1", "3.12.1"),
        ("uv venv --python '>=3.11,<3.13'", ">=3.11,<3.13"),
        ("python3.12 -m venv v", "3.12"),
        ("uv run --no-project --python 3.12 main.py", "3.12"),
    ],
)
def test_a_python_that_is_asked_for_is_found(line: str, version: str) -> None:
    assert asked(line).pythons == (Asked(version, "run.sh line 2"),)


def test_a_pinned_python_counts_where_the_line_names_none() -> None:
    files = {"__python-version": "3.12\n"}
    assert [python.version for python in asked("uv venv", **files).pythons] == ["3.12"]
    assert [python.version for python in asked("uv venv --python 3.11", **files).pythons] == ["3.11"]


def test_a_project_is_found_with_its_python_and_the_options_that_matter() -> None:
    found = asked("cd code && uv sync --frozen --no-progress --extra plot", code_S_pyproject__toml=PROJECT)
    assert found.projects == (Project("code", "run.sh line 2", ("--frozen", "--extra", "plot")),)
    assert found.pythons == (Asked(">=3.11", "code/pyproject.toml"),)
    assert found.uv == "run.sh line 2"


def test_a_project_that_is_built_brings_what_its_build_needs() -> None:
    text = PROJECT + '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    assert names("uv sync", pyproject__toml=text) == ["hatchling", "editables>=0.3"]
    assert names("uv sync", pyproject__toml=text + "[tool.uv]\npackage = false\n") == []
    assert names("pip install -e .", pyproject__toml=text) == ["tqdm", "hatchling", "editables>=0.3"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('[tool.uv.sources]\nx = { git = "https://h/x" }\n', "tool.uv.sources"),
        ('[[tool.uv.index]]\nurl = "https://h"\n', "tool.uv.index"),
        ('[dependency-groups]\ndev = ["x @ https://h/x"]\n', "dev"),
        ('[project.optional-dependencies]\na = [["x"]]\n', "not a list"),
        ("[[", "not TOML"),
        ("x = " + "1" * 5000, "not TOML"),
    ],
)
def test_a_project_that_takes_anything_from_elsewhere_or_is_damaged_is_refused(more: str, what: str) -> None:
    assert what in refused("uv sync", pyproject__toml=PROJECT + more)


def test_a_script_with_its_own_metadata_is_read() -> None:
    script = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "six",\n# ]\n# ///\nimport six\n'
    found = asked("uv run main.py", main__py=script)
    assert [wish.text for wish in found.wanted] == ["six"]
    assert [python.version for python in found.pythons] == [">=3.11"]
    assert inline_metadata("import six\n") is None


@pytest.mark.parametrize(
    ("version", "minor", "answer"),
    [
        ("3", "3.11", True),
        ("3.11", "3.11", True),
        ("3.1", "3.11", False),
        ("3.11.9", "3.11", True),
        (">=3.11.4", "3.11", True),
        (">=3.12", "3.11", False),
        ("==3.11.*", "3.11", True),
        ("<3.11", "3.11", False),
        ("~nonsense", "3.11", False),
    ],
)
def test_a_python_fits_what_was_asked_for(version: str, minor: str, answer: bool) -> None:
    assert fits(version, minor) is answer


def test_a_lock_may_name_only_the_package_index() -> None:
    good = '[[package]]\nname = "a"\nsource = { registry = "https://pypi.org/simple" }\n'
    good += '[[package]]\nname = "x"\nsource = { virtual = "." }\n'
    check_lock(good, "uv.lock", "")
    check_lock(good.replace("pypi.org", "mirror.example"), "uv.lock", "https://mirror.example/simple/")
    for source in ('{ registry = "https://h" }', '{ git = "https://h" }', '{ path = "x.whl" }', '"x"', '{ virtual = "../x" }'):
        with pytest.raises(DependencyError, match=r"uv\.lock: b comes from elsewhere"):
            check_lock(f'{good}[[package]]\nname = "b"\nsource = {source}\n', "uv.lock", "")


def test_a_quote_that_never_ends_does_not_hide_the_rest_for_ever() -> None:
    script = "cd 'never\n" + "x\n" * 40 + "pip install six\n"
    assert [words for _, words in commands(script) if words[0] == "pip"] == [["pip", "install", "six"]]


def test_an_unfinished_line_of_a_requirements_file_counts() -> None:
    assert list(logical_lines("a\\\n>=1\n\nb \\", "r.txt")) == [(1, "a >=1"), (4, "b")]


def test_options_end_where_two_dashes_stand() -> None:
    assert split_options(["-q", "--", "-x"], "here") == (["-x"], [("-q", "")])


def test_files_given_to_uv_pip_sync_are_read() -> None:
    assert names("uv pip sync requirements.txt && uv pip list && pip list", requirements__txt="six") == ["six"]


def test_commands_that_fetch_nothing_ask_for_nothing() -> None:
    assert asked('pip_cache=1\nuv_mode=fast\ncd "$(dirname "$0")"\nbash -l\nsource .venv/bin/activate\n') == Declared()
    assert asked("uv --version\nuv").wanted == ()


def test_a_line_of_text_is_not_followed_for_ever() -> None:
    inner = "pip install six"
    for _ in range(10):
        inner = f"bash -c {inner!r}" if "'" not in inner else f'bash -c "{inner}"' if '"' not in inner else inner
    assert names(inner) == ["six"]


def test_a_python_with_an_odd_name_is_reported() -> None:
    assert "pypy3" in asked("uv venv --python pypy3").notes[0]
    assert asked("uv pip install --python .venv/bin/python six").notes == ()


def test_a_project_file_given_as_requirements_file_is_read() -> None:
    assert names("uv pip install -r pyproject.toml", pyproject__toml=PROJECT) == ["tqdm"]


def test_hashes_that_cannot_be_compared_are_refused() -> None:
    assert "only sha256" in refused("pip install -r r.txt", r__txt="six==1 --hash=md5:" + "a" * 32)


def test_a_project_above_the_folder_is_found_and_one_that_is_nowhere_is_reported() -> None:
    assert asked("cd a/b && uv run main.py", a_S_pyproject__toml=PROJECT).projects[0].folder == "a"
    assert "no pyproject.toml" in asked("cd a && uv run main.py").notes[0]
    assert names("uv run --with six main.txt") == ["six"]


def test_a_project_installed_with_extras_brings_them_and_the_usual_build_tools() -> None:
    text = PROJECT + '[project.optional-dependencies]\nplot = ["numpy"]\n'
    assert names("pip install '.[plot]'", pyproject__toml=text) == ["tqdm", "numpy", "setuptools>=64", "wheel"]


def test_constraints_on_the_line_are_kept_apart() -> None:
    found = asked("pip install -c limits.txt six", limits__txt="six<2")
    assert ([wish.text for wish in found.wanted], [wish.text for wish in found.constraints]) == (["six"], ["six<2"])
    assert "known before" in asked("pip install -r $FILE").notes[0]


def test_a_script_started_by_its_path_is_read() -> None:
    assert names("./script.sh\nlib/other.sh", script__sh="pip install six", lib_S_other__sh="pip install idna") == ["six", "idna"]


def test_a_project_file_that_is_missing_is_named() -> None:
    assert refused("pip install -r pyproject.toml") == "pyproject.toml is not in the submission"


def test_the_python_of_the_line_comes_before_that_of_the_project() -> None:
    assert [python.version for python in asked("uv sync --python 3.12", pyproject__toml=PROJECT).pythons] == ["3.12"]
    assert asked("uv sync", pyproject__toml='[project]\nname = "x"\n').pythons == ()
    assert names("pip install ''", "") == []
    assert names("pip install .", pyproject__toml='[project]\nname = "x"\n') == ["setuptools>=64", "wheel"]


URL = "https://files.pythonhosted.org/packages/b7/ce/six-1.17.0-py2.py3-none-any.whl"
REGISTRY = '{ registry = "https://pypi.org/simple" }'


def lock(source: str = REGISTRY, url: str = URL, more: str = "") -> str:
    return f'''version = 1
[[package]]
name = "b"
version = "1.0"
source = {source}
sdist = {{ url = "{URL}", hash = "sha256:aa", upload-time = "2024-12-04T17:35:28.174Z" }}
wheels = [{{ url = "{url}", hash = "sha256:aa", size = 1 }}]
{more}'''


def test_a_lock_as_uv_writes_it_passes() -> None:
    check_lock(lock(), "uv.lock", "")
    check_lock(
        lock().replace("https://pypi.org", "http://m:8080").replace("https://files.pythonhosted.org", "http://m:8080"),
        "uv.lock",
        "http://m:8080/simple/",
    )


@pytest.mark.parametrize(
    "text",
    [
        lock(url="http://127.0.0.1:8000/six-1.17.0-py3-none-any.whl"),
        lock(url="https://h/six.whl"),
        lock(url=URL.replace("https", "http")),
        lock(url=URL.replace("org/", "org:8443/")),
        lock(url=URL.replace("https://", "https://h@")),
        lock(url=URL.replace("https://", "https://h\\\\@")),
        lock(url=URL.replace("https://", "https://files.pythonhosted.org@h/")),
        lock(url="file:///etc/passwd"),
        lock().replace(f'sdist = {{ url = "{URL}"', 'sdist = { url = "https://h/x.tar.gz"'),
        lock().replace(f'wheels = [{{ url = "{URL}"', 'wheels = [{ path = "x.whl"'),
        lock().replace(f'wheels = [{{ url = "{URL}"', f'wheels = [{{ path = "x.whl", url = "{URL}"'),
        lock().replace("wheels = [", 'wheels = ["x", '),
        lock('{ url = "https://h/x.whl", virtual = "." }'),
        lock('{ git = "https://h/x", editable = "." }'),
        lock('{ path = "x", virtual = "." }'),
        lock('{ registry = "https://pypi.org/simple", url = "https://h" }'),
        lock('{ registry = "https://h/simple" }'),
        lock("{}"),
        lock(more='elsewhere = "https://h"'),
        lock().replace("[[package]]", "[[distribution]]"),
        'package = "x"',
        "package = [3]",
    ],
)
def test_a_lock_that_makes_uv_fetch_from_any_other_address_is_refused(text: str) -> None:
    with pytest.raises(DependencyError, match=r"^uv\.lock: ") as caught:
        check_lock(text, "uv.lock", "")
    assert caught.value.advice


def test_a_lock_of_the_public_index_is_refused_where_another_one_is_in_use() -> None:
    with pytest.raises(DependencyError, match="b comes from elsewhere"):
        check_lock(lock(), "uv.lock", "https://mirror.example/simple")


def test_a_line_longer_than_any_honest_one_is_refused_by_its_number() -> None:
    assert refused("pip install -r r.txt", r__txt="six\n" + " " * 40_000 + "idna").startswith("r.txt line 2: is longer than")
    assert refused("pip install -r r.txt", r__txt="six \\\n" + " \\\n" * 40_000).startswith("r.txt line 1: is longer than")


def test_a_requirement_with_the_hashes_of_many_wheels_is_understood() -> None:
    text = "six==1.17.0" + "".join(f" \\\n    --hash=sha256:{number:064x}" for number in range(200))
    assert len(asked("pip install -r r.txt", r__txt=text).wanted[0].hashes) == 200


def test_what_is_too_much_is_refused_before_the_rest_is_looked_at() -> None:
    many = "".join(f"p{number}\n" for number in range(MOST + 1))
    assert str(MOST) in refused("pip install -r r.txt", r__txt=many + "./never reached\n")
    pythons = "".join(f"--python=3.{number}\n" for number in range(MOST + 1))
    assert str(MOST) in refused("pip install -r r.txt", r__txt=pythons + "./never reached\n")


def test_files_that_are_too_long_together_are_refused() -> None:
    half = ("#" + "x" * 1022 + "\n") * (READ_LIMIT // 2048 + 1)
    assert names("pip install -r a.txt\npip install -r a.txt -c a.txt", a__txt=half) == []
    assert refused("pip install -r a.txt\npip install -r b.txt", a__txt=half, b__txt=half).startswith("b.txt: with it")


def test_the_metadata_of_a_script_ends_at_the_last_end_and_is_looked_for_at_its_beginning_only() -> None:
    block = '# /// script\n# dependencies = ["six"]\n# ///\n'
    assert inline_metadata(block) == {"dependencies": ["six"]}
    assert inline_metadata("# /// script\n# x = 1\n\n" + block) == {"dependencies": ["six"]}
    assert inline_metadata("# /// script\n" * 3 + "x\n") is None
    assert inline_metadata("x = 1\n" * 20_000 + block) is None


def test_a_key_of_very_many_parts_is_refused_and_dots_in_texts_are_not_counted() -> None:
    assert "more than 16 parts" in refused("uv sync", pyproject__toml="[" + "a." * 20 + "a]\n")
    assert "more than 16 parts" in refused("uv sync", pyproject__toml='x = """\n\'""", y = {"\\"".' + "a." * 20 + "a = 1}\n")
    dots = "." * 50
    text = PROJECT + f"# {dots}\n[x]\na = \"{dots}\"\nb = '{dots}'\nc = \"\"\"\n{dots}\n\"\"\"\nd = '''\n{dots}'''\n"
    assert asked("uv sync", pyproject__toml=text).projects


def test_here_documents_that_never_end_hide_nothing() -> None:
    assert names("cat <<A\ncat <<B\npip install six\nA\npip install idna\n") == ["idna"]
    assert names("cat <<A\ncat <<B\npip install six\n") == ["six"]
