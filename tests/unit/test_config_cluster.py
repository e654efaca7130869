"""Settings of a cluster: nested groups in the file, rules, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.commands import config as verb
from scq.config import Loaded, judge, load
from scq.config_cluster import cluster_errors, cluster_notes
from scq.config_file import parse, plan_change
from scq.config_values import Config, Slurm
from scq.context import Context, utc_now
from scq.errors import CONFIG, UsageError
from scq.model import DataFolder, Placement
from scq.safeguards import noted
from scq.state import State

DOCS = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
ON = "executor: {name: slurm, slurm: {shared_dir: /shared/scq}}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "scq-home"
    folder.mkdir(mode=0o700)
    return folder


def write(home: Path, text: str) -> str:
    (home / "config.yaml").write_text(text)
    return str(home / "config.yaml")


def text(home: Path) -> str:
    return (home / "config.yaml").read_text()


def context(home: Path) -> Context:
    env = {"HOME": str(home.parent)}
    loaded = load(str(home / "config.yaml"), env, {}, home=str(home), strict=False)
    return Context(loaded.config, str(home), env=env, problems=loaded.problems)


def found(home: Path, **slurm: Any) -> Loaded:
    values = {"executor": {"name": "slurm", "slurm": {"shared_dir": "/shared/scq", **slurm}}}
    return judge(values, "config.yaml", {"HOME": str(home.parent)}, {}, home=str(home))


# The file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("executor: slurm  # there\n", "executor: {name: slurm, slurm: {shared_dir: /x}}  # there\n"),
        ("# mine\nnetwork: none\n", "# mine\nnetwork: none\nexecutor:\n  slurm:\n    shared_dir: /x\n"),
        ("executor:\n    name: local  # here\n", "executor:\n    name: local  # here\n    slurm:\n      shared_dir: /x\n"),
        (
            "executor:\n  slurm:\n    # all see it\n    shared_dir: /old  # old\n    partition: p\n  name: slurm\n",
            "executor:\n  slurm:\n    # all see it\n    shared_dir: /x  # old\n    partition: p\n  name: slurm\n",
        ),
        ("executor:\n  slurm: {partition: p}  # p\n", "executor:\n  slurm: {partition: p, shared_dir: /x}  # p\n"),
        (
            "executor: {name: slurm, slurm: {partition: p}}\n",
            "executor: {name: slurm, slurm: {partition: p, shared_dir: /x}}\n",
        ),
        ("executor:\n", "executor:\n  slurm:\n    shared_dir: /x\n"),
    ],
)
def test_a_key_two_groups_deep_is_set_and_comments_stay(before: str, after: str, home: Path) -> None:
    change = plan_change(write(home, before), {"executor.slurm.shared_dir": "/x"})
    assert (change.text, change.kept_form) == (after, True)
    assert parse(after, "x") == change.values


def test_one_word_stays_one_word_while_it_is_enough(home: Path) -> None:
    assert plan_change(write(home, "executor: local # c\n"), {"executor.name": "slurm"}).text == "executor: slurm  # c\n"


def test_a_cluster_is_set_up_key_by_key(home: Path) -> None:
    write(home, "# mine\njob_timeout: 10m\n")
    with pytest.raises(UsageError, match=r"executor\.slurm\.shared_dir: is missing"):
        verb.set_(context(home), "executor", "slurm")
    assert text(home) == "# mine\njob_timeout: 10m\n"
    verb.set_(context(home), "executor.slurm.shared_dir", "/shared/scq/")
    verb.set_(context(home), "executor", "slurm")
    verb.set_(context(home), "executor.slurm.rules", '[{tags: [gpu], gres: "gpu:1", devices: "/dev/nvidia*"}]')
    verb.set_(context(home), "executor.slurm.max_queued", "1000")
    ctx = context(home)
    assert text(home).startswith("# mine\njob_timeout: 10m\n")
    assert (ctx.config.executor, ctx.problems) == ("slurm", [])
    rule = Placement(tags=("gpu",), gres="gpu:1", devices=("/dev/nvidia*",))
    assert ctx.config.slurm == Slurm(shared_dir="/shared/scq", rules=(rule,), max_queued=1000)
    assert verb.get(ctx, "executor").lines == ("slurm",)
    assert verb.get(ctx, "executor.slurm.shared_dir").lines == ("/shared/scq",)
    lines = verb.show(ctx).lines
    assert any(line.startswith("executor.slurm.max_queued") and line.endswith("1000  (config.yaml)") for line in lines)
    assert verb.validate(ctx).data["errors"] == []
    verb.set_(ctx, "executor", "local")
    assert (context(home).config.executor, context(home).config.slurm.max_queued) == ("local", 1000)


def test_a_group_is_no_key_and_its_keys_are_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"executor\.slurm is a group of keys") as caught:
        verb.get(context(home), "executor.slurm")
    assert "executor.slurm.shared_dir, executor.slurm.python" in caught.value.advice


@pytest.mark.parametrize(
    ("unknown", "where", "close"),
    [
        ("executor: {slurm: {shared_dri: /x}}", "executor.slurm.shared_dri", "executor.slurm.shared_dir"),
        ("executor: {shared_dir: /x}", "executor.shared_dir", "executor.slurm.shared_dir"),
        ("slurm: {shared_dir: /x}", "slurm", "executor.slurm"),
        ("executor: {slrum: {shared_dir: /x}}", "executor.slrum", "executor.slurm"),
    ],
)
def test_an_unknown_key_below_a_group_is_a_warning_with_a_name_near_it(unknown: str, where: str, close: str, home: Path) -> None:
    write(home, unknown)
    (warning,) = verb.validate(context(home)).data["warnings"]
    assert warning["where"] == f"config.yaml: {where}"
    assert warning["advice"] == f"Did you mean {close}?"


def test_what_the_documentation_shows_is_valid_and_ordered(home: Path) -> None:
    section = DOCS.read_text().split("## Jobs on a cluster")[1]
    write(home, section.split("```yaml\n")[1].split("```")[0])
    ctx = context(home)
    assert (ctx.problems, ctx.config.executor) == ([], "slurm")
    assert [rule.tags for rule in ctx.config.slurm.rules] == [("gpu",), (), ("large", "huge")]
    assert ctx.config.slurm.rules[2] == Placement(
        tags=("large", "huge"), queues=("code-queue",), partition="large", cpus=16, tmp=200 << 30
    )


# Values


@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "gres"])
@pytest.mark.parametrize(
    "value", ["--uid=0", "-p", "", "a b", "a\nb", "a\u202eb", "a;b", "$(id)", "%j", "x" * 201, ",a", ["a"], {"a": "b"}, 7, True]
)
def test_a_word_for_slurm_is_never_an_option_nor_two_words(key: str, value: object, home: Path) -> None:
    (error,) = found(home, **{key: value}).errors
    assert error.where == f"config.yaml: executor.slurm.{key}"
    assert "\n" not in error.what
    (error,) = found(home, rules=[{"tags": "gpu", key: value}]).errors
    assert error.where == "config.yaml: executor.slurm.rules"


@pytest.mark.parametrize(
    "rules",
    [
        "gpu",
        {"tags": "gpu", "partition": "gpu"},
        [7],
        [None],
        [{}],
        [{"tags": [], "partition": "p"}],
        [{"submitters": [], "partition": "p"}],
        [{"submitters": ["nobody"], "partition": "p"}],
        [{"queues": "", "partition": "p"}],
        [{"tags": ["gpu"], "partition": "p", "uid": "0"}],
        [{"tags": ["gpu"], "cpus": 0}],
        [{"tags": ["gpu"], "cpus": "8"}],
        [{"tags": ["gpu"], "tmp": -1}],
        [{"tags": ["gpu"], "devices": []}],
        [{"tags": ["gpu"], "devices": ["nvidia0"]}],
        [{"partition": f"p{number}"} for number in range(101)],
    ],
)
def test_a_rule_that_says_too_little_or_too_much_is_an_error(rules: object, home: Path) -> None:
    (error,) = found(home, rules=rules).errors
    assert error.where == "config.yaml: executor.slurm.rules"


def test_a_hundred_rules_are_kept_in_their_order(home: Path) -> None:
    loaded = found(home, rules=[{"tags": f"t{number}", "partition": f"p{number}"} for number in range(100)])
    assert loaded.errors == ()
    assert [rule.partition for rule in loaded.config.slurm.rules] == [f"p{number}" for number in range(100)]


def test_of_many_rules_the_wrong_one_is_shown(home: Path) -> None:
    rules: list[dict[str, Any]] = [{"tags": f"t{number}", "partition": f"p{number}"} for number in range(100)]
    rules[70] = {"tags": "t70", "partition": "--uid=0"}
    (error,) = found(home, rules=rules).errors
    assert '[{"tags":"t70","partition":"--uid=0"}] is not allowed' in error.what


def test_a_rule_that_places_nothing_is_an_error(home: Path) -> None:
    (error,) = found(home, rules=[{"tags": ["gpu"], "submitters": ["ana@example.org"]}]).errors
    assert error.where == "config.yaml: executor.slurm.rules"


@pytest.mark.parametrize("folder", ["shared", "/", "//", "/a/../b", "/a%jb", "/a\\b", "/a\nb", "", ["/a"], 7])
def test_a_shared_folder_is_a_plain_absolute_path(folder: object, home: Path) -> None:
    assert any(error.where == "config.yaml: executor.slurm.shared_dir" for error in found(home, shared_dir=folder).errors)


@pytest.mark.parametrize("device", ["/etc/shadow", "/dev/../etc/shadow", "/dev//null", "/devil", "/dev/"])
def test_a_device_lies_in_the_folder_of_devices(device: str, home: Path) -> None:
    (error,) = found(home, devices=[device]).errors
    assert error.where == "config.yaml: executor.slurm.devices"
    (error,) = found(home, rules=[{"tags": "gpu", "devices": [device]}]).errors
    assert error.where == "config.yaml: executor.slurm.rules"


# What does not go together


def test_a_cluster_without_a_shared_folder_is_an_error_that_names_the_key(home: Path) -> None:
    (error,) = judge({"executor": "slurm"}, "config.yaml", {}, {}, home=str(home)).errors
    assert (error.where, "is missing" in error.what) == ("config.yaml: executor.slurm.shared_dir", True)
    assert "scq config set executor.slurm.shared_dir" in error.advice


def test_without_a_box_nothing_runs_on_a_cluster(home: Path) -> None:
    write(home, ON + "sandbox: none\n")
    report = verb.validate(context(home))
    assert report.exit_code == CONFIG
    assert [error["where"] for error in report.data["errors"]] == ["config.yaml: sandbox"]
    write(home, ON)
    with pytest.raises(UsageError, match="without a box on the node"):
        verb.set_(context(home), "sandbox", "none")


def test_the_shared_folder_lies_apart_from_all_that_must_not_be_shared(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "SyftBox"
    (root / "me").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to(root / "me")

    def words(shared: Path, **settings: Any) -> str:
        config = Config(executor="slurm", root=str(root), slurm=Slurm(shared_dir=str(shared)), **settings)
        return "\n".join(error.what for error in cluster_errors(config, str(home)))

    assert words(tmp_path / "shared") == ""
    assert words(tmp_path / "shared", data=(DataFolder(str(tmp_path / "data"), "/data"),)) == ""
    for inside in (root, root / "me", root / "not-there-yet", tmp_path / "link"):
        assert "inside the SyftBox folder" in words(inside)
    for near in (home, home / "shared", tmp_path):
        assert "must lie apart" in words(near)
    assert "holds the state_file" in words(tmp_path / "shared", state_file=str(tmp_path / "shared" / "state.json"))
    assert "which jobs may read" in words(tmp_path / "shared", data=(DataFolder(str(tmp_path / "shared"), "/data"),))


def test_a_machine_alone_is_not_asked_for_any_of_it(home: Path) -> None:
    config = Config(sandbox="none", slurm=Slurm(shared_dir=str(home), devices=("/etc/shadow",)))
    assert cluster_errors(config, str(home)) == ()
    assert cluster_notes({"max_concurrent_jobs": 3}) == ()


def test_how_many_run_at_once_is_the_clusters_business(home: Path) -> None:
    write(home, ON + "max_concurrent_jobs: 9\n")
    (warning,) = verb.validate(context(home)).data["warnings"]
    assert warning["where"] == "config.yaml: max_concurrent_jobs"
    assert "max_queued" in warning["advice"]
    write(home, ON)
    assert verb.validate(context(home)).data["warnings"] == []


# What is worth a line in the audit log


def test_a_change_of_where_jobs_run_is_a_line_in_the_audit_log() -> None:
    before = noted(State(), Config(), utc_now())
    slurm = Slurm(shared_dir="/shared", python="/p", devices=("/dev/kfd",), rules=(Placement(partition="p"),))
    after = noted(before, replace(Config(), executor="slurm", slurm=slurm), utc_now())
    rows = {row.detail.partition(":")[0] for row in after.audit}
    assert rows == {f"executor.{name}" for name in ("name", "slurm.shared_dir", "slurm.python", "slurm.devices", "slurm.rules")}
    assert noted(after, replace(Config(), executor="slurm", slurm=slurm), utc_now()) is after
