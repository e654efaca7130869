"""scq template: every template can be listed, read, looked at and copied to be changed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from scq import resources
from scq.render import MAILS
from scq.routing import ROLES
from tests.people import World

SHIPPED = Path(resources.folder("templates"))


class TestList:
    def test_every_template_is_listed_with_what_it_is_sent_for(self, world: World) -> None:
        rows = {row["name"]: row for row in world.owner.json("template", "list")["templates"]}
        assert set(rows) == {
            *(path.stem for path in (SHIPPED / "emails").iterdir()),
            *(f"components/{path.stem}" for path in (SHIPPED / "components").iterdir()),
            "base",
        }
        assert rows["new_job"]["uses"] == [{"event": "job.received", "role": "do"}]
        assert rows["job_integrity"]["sent_for"] == "job.integrity do, job.changed do"
        assert rows["alert"]["sent_for"] == "scq send"
        assert rows["base"] == {
            "name": "base",
            "sent_for": "part of templates",
            "uses": [],
            "forms": ["html", "txt"],
            "from": "shipped",
        }
        assert rows["components/button"]["forms"] == ["html"]
        told = {(use["event"], use["role"]) for row in rows.values() for use in row["uses"]}
        assert told == set(MAILS) >= {(kind, role) for kind, roles in ROLES.items() for role in roles}

    def test_templates_of_the_user_are_told_apart(self, world: World) -> None:
        own = world.owner.home / "templates" / "emails"
        own.mkdir(parents=True)
        (own / "new_job.html").write_text("mine")
        (own / "heartbeat.html").write_text("mine")
        (own / "heartbeat.txt").write_text("mine")
        rows = {row["name"]: row["from"] for row in world.owner.json("template", "list")["templates"]}
        assert (rows["new_job"], rows["heartbeat"], rows["digest"]) == ("yours (html), else shipped", "yours", "shipped")
        assert re.search(r"^heartbeat +heartbeat do +yours$", world.owner.scq("template", "list").out, re.MULTILINE)


class TestShow:
    @pytest.mark.parametrize("name", ["new_job", "emails/new_job", "emails/new_job.html", "new_job.txt"])
    def test_a_template_is_shown_in_both_forms(self, world: World, name: str) -> None:
        data = world.owner.json("template", "show", name)
        assert data["name"] == "new_job"
        assert [file["name"] for file in data["files"]] == ["emails/new_job.html", "emails/new_job.txt"]
        assert data["files"][1]["text"] == (SHIPPED / "emails/new_job.txt").read_text("utf-8")
        assert "── emails/new_job.txt  (shipped)\n{% extends" in world.owner.scq("template", "show", name).out

    def test_what_is_used_now_is_shown(self, world: World) -> None:
        own = world.owner.home / "templates"
        own.mkdir()
        (own / "base.txt").write_text("mine")
        files = world.owner.json("template", "show", "base")["files"]
        assert [(file["from"], file["text"] == "mine") for file in files] == [("shipped", False), ("yours", True)]

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("new_jobs", "Did you mean new_job"), ("../../etc/passwd", "scq template list"), ("", "scq template list")],
    )
    @pytest.mark.parametrize("verb", ["show", "preview", "eject"])
    def test_an_unknown_name_is_an_error_that_helps(self, world: World, verb: str, name: str, hint: str) -> None:
        answer = world.owner.scq("template", verb, name, code=2)
        assert f"there is no template {name!a}" in answer.err
        assert hint in answer.err


class TestPreview:
    def test_every_event_and_role_is_rendered_without_a_problem(self, world: World) -> None:
        answer = world.owner.scq("template", "preview", "--all", "--json").json
        made = answer["data"]["previews"]
        assert answer["problems"] == []
        assert {(item["event"], item["role"]) for item in made} == {*MAILS, ("job.vanished", "do"), ("scq send", "")}
        assert all("</html>" in item["html"] and item["text"].endswith("\n") for item in made)
        assert all(item["subject"].endswith("]") for item in made)
        assert not [item["name"] for item in made if re.search(r": None|None\b(?! of)|Undefined", item["text"])]

    def test_one_is_printed_as_text_or_html(self, world: World) -> None:
        text = world.owner.scq("template", "preview", "job_expired").out
        assert "── job_expired  job.expired do\nSubject: Job Expired: survey-2026 means by region [scq 3f2a9c1e]\n" in text
        assert "── job_expired  job.expired ds\n" in text
        assert "<table" not in text
        assert "<table" in world.owner.scq("template", "preview", "job_expired", "--format", "html").out

    def test_a_gallery_is_written(self, world: World, tmp_path: Path) -> None:
        out = tmp_path / "deep" / "gallery"
        answer = world.owner.scq("template", "preview", "--all", "--out", str(out)).out
        assert str(out / "index.html") in answer
        index = (out / "index.html").read_text("utf-8")
        frames = re.findall(r'<iframe src="([^"]+)"', index)
        assert sorted(frames) == sorted(path.name for path in out.glob("*.html") if path.name != "index.html")
        assert len(frames) == len(MAILS) + 2
        assert "Nothing runs before you approve it." in (out / "new_job.do.txt").read_text("utf-8")
        assert (out / "job_integrity.do.job.changed.html").is_file()

    def test_a_template_of_the_user_is_previewed_and_a_broken_one_is_told(self, world: World) -> None:
        own = world.owner.home / "templates" / "emails"
        own.mkdir(parents=True)
        (own / "heartbeat.txt").write_text("Mine: {{ interval_human }}\n")
        (own / "heartbeat.html").write_text("{{ unclosed")
        answer = world.owner.scq("template", "preview", "heartbeat", "--json").json
        assert answer["data"]["previews"][0]["text"] == "Mine: 1d\n"
        assert answer["data"]["previews"][0]["html"] == ""
        assert answer["problems"][0]["where"] == "emails/heartbeat.html"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ((), "no template is named"),
            (("base",), "base is a part of templates"),
            (("new_job", "--format", "pdf"), "'pdf' is not a format"),
        ],
    )
    def test_a_call_that_makes_no_sense_is_an_error(self, world: World, arguments: tuple[str, ...], expected: str) -> None:
        assert expected in world.owner.scq("template", "preview", *arguments, code=2).err


class TestEject:
    def test_a_copy_is_made_and_used_from_then_on(self, world: World) -> None:
        data = world.owner.json("template", "eject", "new_job", "base", "components/button", "new_job")
        names = ["emails/new_job.html", "emails/new_job.txt", "base.html", "base.txt", "components/button.html"]
        assert [file["name"] for file in data["files"]] == names
        own = world.owner.home / "templates"
        for name in names:
            assert (own / name).read_text("utf-8") == (SHIPPED / name).read_text("utf-8")
            assert os.stat(own / name).st_mode & 0o777 == 0o600
        (own / "emails/new_job.txt").write_text("changed")
        assert "changed" in world.owner.scq("template", "preview", "new_job").out

    def test_what_is_there_is_replaced_only_when_told_so(self, world: World) -> None:
        own = world.owner.home / "templates" / "emails"
        own.mkdir(parents=True)
        (own / "new_job.txt").write_text("mine")
        answer = world.owner.scq("template", "eject", "digest", "new_job", code=2)
        assert "new_job.txt is there already" in answer.err
        assert "--force" in answer.err
        assert [path.name for path in own.iterdir()] == ["new_job.txt"]
        data = world.owner.json("template", "eject", "new_job", "--force")
        assert [file["replaced"] for file in data["files"]] == [False, True]
        assert (own / "new_job.txt").read_text("utf-8") == (SHIPPED / "emails/new_job.txt").read_text("utf-8")

    def test_a_dry_run_writes_nothing(self, world: World) -> None:
        answer = world.owner.scq("template", "eject", "new_job", "--dry-run")
        assert f"would be written: {world.owner.home / 'templates/emails/new_job.html'}" in answer.out
        assert not (world.owner.home / "templates").exists()


def test_a_damaged_configuration_does_not_stop_anybody_from_looking(world: World) -> None:
    world.owner.configure("notify: {timezone: 7}\nnonsense: 1\n")
    assert world.owner.json("template", "preview", "heartbeat")["previews"]
