"""docs/moving.md names everything that the five documents name, and what it says to use here is there and takes those words."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scq
from scq import alerts
from scq.telling import environment
from tests.packaging.test_documented_commands import leaf
from tests.people import OWNER, Person, World

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "moving.md"
SPAN = re.compile(r"`([^`]+)`")
PRINTED = "What is printed"
INSTANCES = {
    "client": "QueueClient",
    "job": "CodeJob",
    "jobs": "JobCollection",
    "runner": "SyftJobRunner",
    "auth": "GmailAuth",
    "sender": "GmailSender",
    "renderer": "TemplateRenderer",
    "state": "JsonStateManager",
    "monitor": "JobMonitor",
    "peers": "PeerMonitor",
    "daemon": "DaemonManager",
    "services": "ServiceManager",
}
"""The objects of the column *Here*, by the name they have there."""

NAMED: dict[str, str] = {
    "notifications of syft-client": """
        GmailAuth setup_auth load_credentials credentials_path token_path gmail.send credentials.json gmail_token.json
        GmailSender credentials use_html notify_new_job do_email job_name submitter timestamp job_url
        notify_job_approved ds_email notify_job_executed duration results_url notify_new_peer_request_to_do peer_url
        notify_peer_request_sent notify_peer_request_granted send_email to_email subject body_text body_html
        TemplateRenderer templates_dir render template_name context emails/new_job.html emails/job_approved.html
        emails/job_executed.html emails/new_peer_request.html emails/peer_granted.html datetime JsonStateManager
        state_file was_notified mark_notified entity_id event_type get_data set_data key default value
        ~/.syft-creds/state.json ~/.syft-creds/config.yaml syftbox_root notify.interval notify.monitor_jobs
        notify.monitor_peers syft-bg_init --email --notify-jobs --notify-peers syft-bg_start syft-bg_status
        syft-bg_logs_notify syft-bg_logs_-f syft-bg_stop GOOGLE_API_TIMEOUT
        """,
    "monitors and services": """
        JobMonitor PeerMonitor DaemonManager login_do from_client gmail_token_path drive_token_path notifications
        from_config config_path sender state config client notify_on_new_job notify_on_approved notify_on_executed
        notify_on_new_peer notify_on_peer_granted check interval duration start stop notify_peer_granted
        approve_peer_request add_peer_as_do client.sync syft_outbox_inbox_ msgv2_ ProposedFileChangesMessage
        app_data/job approved done NotificationSender StateManager ~/.syft-notifications/gmail_token.json
        ~/.syft-creds/token_do.json ~/.syft-creds/daemon.yaml syft-notify.pid syft-notify.log syft-notify.error.log
        restart status logs follow lines SyftboxManager is_alive() gdrive_transport SIGTERM SIGKILL SIGHUP get_pid
        is_running Monitor _check_all_entities syft_client.notifications.base email_format html text both
        syft-bg_start_notify syft_bg/services/registry.py ServiceManager list_services get_all_status start_service
        stop_service DRIVE_SCOPES Credentials.from_authorized_user_file build_drive_service _create_drive_service
        """,
    "scitex-notification": """
        scitex-notification scitex scitex_notification stx.notification desktop email slack webhook audio emacs
        matplotlib playwright twilio send message backend title config slack_webhook email_to email_from smtp_host
        list_backends stx.session notify=True stx.INJECTED CONFIG scitex_notify_send scitex_notify_backends
        scitex_notify_config --slack-webhook alert alert_async level fallback available_backends call call_async
        to_number notify file ID sender_name recipient_email cc attachment_paths verbose send_gmail sender_gmail
        sender_password smtp_server smtp_port sms sms_async SCITEX_NOTIFICATION_DEFAULT_BACKEND
        SCITEX_NOTIFICATION_ENV_SRC SCITEX_NOTIFICATION_TWILIO_TO SCITEX_SCHOLAR_EMAIL_NOREPLY
        SCITEX_SCHOLAR_FROM_EMAIL_ADDRESS SCITEX_EMAIL_NOREPLY SCITEX_EMAIL_AGENT SCITEX_SCHOLAR_EMAIL_PASSWORD
        SCITEX_SCHOLAR_FROM_EMAIL_PASSWORD SCITEX_EMAIL_PASSWORD SCITEX_SCHOLAR_EMAIL_RECIPIENT
        SCITEX_SCHOLAR_TO_EMAIL_ADDRESS FINISHED_SUCCESS
        """,
    "the runner of syft-job": """
        create_runner syftbox_folder_path poll_interval SyftJobRunner SyftJobConfig from_syftbox_folder run
        process_approved_jobs stream_output timeout skip_job_names share_outputs_with_submitter
        share_logs_with_submitter check_for_new_jobs share_job_results share_outputs share_logs user reset_all_jobs
        SYFT_DEFAULT_JOB_TIMEOUT_SECONDS SYFT_IS_IN_JOB run.sh config.yaml submitted_by submitted_at UV_SYSTEM_PYTHON
        stdout.txt stderr.txt returncode.txt outputs/ uv_venv uv_pip_install pyproject.toml uv_sync PYTHONPATH
        Runner_started Monitoring_jobs_for Job_directory Poll_interval No_existing_jobs_found Found_2_job(s)
        Processed_2_job(s) Executing_job completed_successfully Output_written_to NEW_JOB_DETECTED Location
        Script_preview Config RESETTING_ALL_JOBS Deleted_5_jobs
        """,
    "syft-code-queue": """
        syft-code-queue syft_code_queue submit_job target_email code_folder name description tags submit_script
        script_content requirements my_jobs pending_for_me all_jobs_for_me approve reject reason status job.uid
        job.status jobs_for_me jobs_for_others get_job get_job_output get_job_logs wait_for_completion review_job
        job_uid help scq_pending scq_review scq_approve scq_reject scq_list scq_status scq_--help -r --reason
        examples/DataScientist_Tutorial.ipynb examples/DataOwner_Tutorial.ipynb examples/SyftCodeQueue_Tutorial.ipynb
        examples/external_automation_example.py my_analysis/run.sh analyze.py requirements.txt README.md
        pip_install_-r SafeCodeRunner pending approved running completed failed rejected QueueConfig queue_name
        max_concurrent_jobs job_timeout cleanup_completed_after pip_install_-e pytest CONTRIBUTING.md LICENSE
        subprocess.run
        """,
    "newer releases": """
        create_client CodeQueueClient submit_python submit_bash submit_code timeout_seconds cancel_job inspect_job
        list_job_files read_job_file get_job_code_structure list_job_output_files read_job_output_file
        pending_for_others my_pending my_running my_completed approved_by_me JobCollection by_status by_name by_tags
        pending() running() completed() summary refresh approve_all reject_all datasites ping jobs_ui jobs_streamlit
        set_verbose VERBOSE quick_help CodeJob short_id requester_email created_at updated_at started_at completed_at
        is_terminal exit_code error_message deny get_review_data list_files read_file get_logs get_output
        list_output_files output_viewer read_output_file JobStatus timedout get_client JobClient client.jobs
        submit_bash_job submit_python_job scan_inbox JobInfo JobsList job.stdout job.stderr output_paths job.files
        job.rerun job.share_outputs job.share_logs
        """,
}
"""Every name of the documents that people move here from, by document; `_` may stand for a blank."""


class Row(SimpleNamespace):
    """One row: `section`, `there`, `here`, `note`; the spans of code of `here` are what is checked."""

    section: str
    there: str
    here: str
    note: str

    @property
    def spans(self) -> list[str]:
        return SPAN.findall(self.here)


def rows() -> Iterator[Row]:
    section = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith(("| There", "| Status there", "| ---")):
            there, here, note = (cell.strip() for cell in line.strip("|").split(" | ", 2))
            yield Row(section=section, there=there, here=here, note=note.strip("| "))


ROWS = list(rows())
STATUSES = ("pending", "approved", "running", "completed", "failed", "rejected")
CHANNELS = ("desktop", "slack", "webhook", "email", "audio", "emacs", "twilio", "matplotlib", "playwright")
KINDS: dict[str, Callable[[str], bool]] = {
    "command": lambda span: span.startswith("scq "),
    "tool": lambda span: span.startswith(("pip ", "make ")),
    "import": lambda span: span.startswith(("import ", "from ")),
    "file of a job": lambda span: span.startswith("<job>/"),
    "file of a home": lambda span: span.startswith("$SCQ_HOME/"),
    "variable": lambda span: re.fullmatch(r"[A-Z]+_[A-Z_]+|PYTHONUNBUFFERED", span) is not None,
    "python": lambda span: re.match(rf"(q|alerts|{'|'.join(INSTANCES)})\.[A-Za-z_]", span) is not None,
    "word": lambda span: span in STATUSES + CHANNELS,
    "file": lambda span: re.fullmatch(r"[A-Za-z_./]+", span) is not None and (ROOT / span).is_file(),
    "setting": lambda span: re.fullmatch(r"[a-z_.]+(: .+)?", span) is not None,
}


def kind_of(span: str) -> str:
    """The first kind that a span of code is; empty when nobody would check it."""
    return next((name for name, fits in KINDS.items() if fits(span)), "")


def spans(kind: str) -> list[str]:
    """Every span of a kind in the column *Here*, once."""
    found = [span for row in ROWS if row.section != PRINTED for span in row.spans if kind_of(span) == kind]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("document", NAMED)
def test_no_name_of_the_documents_is_forgotten(document: str) -> None:
    said = " ".join(row.there for row in ROWS)
    assert [name for name in NAMED[document].split() if not is_named(name, said)] == []


def is_named(name: str, text: str) -> bool:
    """True when a name stands alone somewhere in a text, as it is or with blanks for `_`."""
    return any(re.search(rf"(?<![A-Za-z]){re.escape(form)}(?![a-z])", text) for form in (name, name.replace("_", " ")))


def test_a_name_that_is_only_part_of_another_is_not_named() -> None:
    assert is_named("scq_list", "`scq list`")
    assert not is_named("approve", "`approved`")
    assert not is_named("run", "`create_runner`")


def test_every_row_says_what_to_use_and_all_of_it_is_checked() -> None:
    assert len(ROWS) > 200
    assert [row.there for row in ROWS if not row.spans] == []
    unchecked = [(row.there, span) for row in ROWS if row.section != PRINTED for span in row.spans if not kind_of(span)]
    assert unchecked == []
    assert [kind for kind in KINDS if not spans(kind)] == []


class TestOfPython:
    def test_the_imports_are_there(self) -> None:
        for statement in spans("import"):
            exec(statement, {})

    def test_the_names_are_there_and_take_these_arguments(self) -> None:
        wrong = {span: said for span in spans("python") if (said := complaint(span))}
        assert wrong == {}

    def test_a_wrong_name_or_argument_would_be_noticed(self) -> None:
        assert "no attribute" in complaint("q.submit_jobs(target_email)")
        assert "no attribute" in complaint("job.nope")
        assert "is called reason" in complaint("q.approve(uid, why)")
        assert "missing" in complaint("q.submit_job(target_email)")
        assert "unexpected" in complaint("runner.run(once=True)")

    def test_the_settings_of_alerts_are_kept(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCQ_HOME", str(world.second.home))
        alerts.config(slack_webhook="https://hooks.slack.com/services/x")
        alerts.config(email_to="ana@uni.example", email_from="lab@uni.example", smtp_host="smtp.uni.example")
        found = {row["name"]: row for row in alerts.list_backends()}
        assert found["slack"]["configured"]
        assert found["email"]["configured"]
        assert set(spans("word")) - set(STATUSES) <= set(found)
        assert [name for name in ("matplotlib", "playwright") if found[name]["available"]] == []


def complaint(span: str) -> str:
    """What is wrong with a Python expression of the document; empty when it is as the code is."""
    parsed = ast.parse(span, mode="eval").body
    call = parsed if isinstance(parsed, ast.Call) else None
    try:
        found, owner = resolved(call.func if call else parsed)
        return unfit(call, found, owner) if call else ""
    except (AttributeError, TypeError) as error:
        return str(error)


def resolved(node: ast.expr) -> tuple[Any, str]:
    """The object that an expression names, and the name of the instance it would be taken from, else an empty text."""
    assert isinstance(node, ast.Attribute), ast.dump(node)
    if isinstance(node.value, ast.Name):
        name = node.value.id
        owner = {"q": scq, "alerts": alerts}.get(name) or getattr(scq, INSTANCES[name])
        return getattr(owner, node.attr), name if name in INSTANCES else ""
    return getattr(resolved(node.value)[0], node.attr), ""


def unfit(call: ast.Call, found: Any, owner: str) -> str:
    """Why a call does not fit a signature: names that stand in a place are those of the parameters there."""
    signature = inspect.signature(found)
    parameters = list(signature.parameters.values())[1 if owner else 0 :]
    signature.replace(parameters=parameters).bind(*[None] * len(call.args), **{str(word.arg): None for word in call.keywords})
    for given, parameter in zip(call.args, parameters, strict=False):
        if isinstance(given, ast.Name) and given.id != parameter.name:
            return f"{given.id} is called {parameter.name}"
    return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("moving"))


@pytest.fixture(scope="module")
def finished(world: World) -> str:
    """A job that ran and waits for an answer."""
    return world.ended("finished", RESULTS)


NOT_RUN = (
    *("scq auth", "scq start", "scq stop", "scq check --fetch", "scq peers", "scq logs notify --follow", "scq automate"),
    "scq schedule install --syftbox",
)
"""Commands that need Google, a client or a program of the owner, start a process that stays, or end only when interrupted."""
RESULTS = "mkdir -p outputs\necho 1 > outputs/a.csv\necho hello\n"


class TestOfCommands:
    @pytest.mark.parametrize("line", [line for line in spans("command") if line.startswith(NOT_RUN)])
    def test_scq_takes_it(self, line: str) -> None:
        leaf(shlex.split(line)[1:])

    @pytest.mark.parametrize("line", [line for line in spans("command") if not line.startswith(NOT_RUN)])
    def test_it_does_what_it_is_for(self, line: str, world: World, finished: str, tmp_path: Path) -> None:
        verb, *rest = shlex.split(line)[1:]
        waiting = verb in ("review", "approve", "reject")
        uid = world.submit(tmp_path.name) if waiting else finished
        stands_for = {
            "ID": uid,
            "OWNER": OWNER,
            "SOURCE": str(python(tmp_path / "analysis" / "main.py").parent),
            "FOLDER": str(python(tmp_path / "project" / "main.py").parent),
            "analysis.py": str(python(tmp_path / "analysis.py")),
            "FILE": str(tmp_path / "report.html"),
            "TEXT": "hello",
            "sha256:0": str(world.owner.job(uid)["digest"]),
        }
        names = ["--name", tmp_path.name] if verb == "submit" else []
        person = world.scientist if verb == "submit" else world.owner
        person.scq(*[stands_for.get(word, word) for word in (verb, *rest)], *names)


def python(path: Path) -> Path:
    """A Python file to submit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("print(6 * 7)\n")
    return path


@pytest.fixture(scope="module")
def done(world: World) -> tuple[Path, Person]:
    """The folder of a job of the form with marker files, released with its logs, and the home of its owner."""
    uid = world.ended("files", RESULTS, layout="b1")
    assert (world.place(uid) / "stdout.txt").read_text() == "", "logs wait for release"
    world.owner.scq("release", uid, "--logs", "-r", "checked")
    world.owner.configure("sandbox: none\nnobody_knows: this\n")  # a warning, which is in the second log
    world.owner.scq("check")
    return world.place(uid), world.owner


class TestOfFilesAndWords:
    def test_the_files_of_a_job_are_there(self, done: tuple[Path, Person]) -> None:
        folder, _ = done
        assert [span for span in spans("file of a job") if not (folder / span.removeprefix("<job>/")).exists()] == []
        assert "hello" in (folder / "stdout.txt").read_text()

    def test_the_files_of_a_home_are_there(self, done: tuple[Path, Person]) -> None:
        _, owner = done
        missing = [span for span in spans("file of a home") if not (owner.home / span.removeprefix("$SCQ_HOME/")).is_file()]
        assert missing == []

    def test_the_status_words_are_those_of_collections(self) -> None:
        assert set(scq.JobCollection().summary()) - {"total"} == set(STATUSES)
        assert set(STATUSES) <= set(spans("word"))

    def test_the_settings_can_be_written_and_read(self, tmp_path: Path, world: World) -> None:
        person = Person(tmp_path / "settings", world.root, OWNER)
        for span in spans("setting"):
            key, _, value = span.partition(": ")
            if value:
                person.scq("config", "set", key, value)
            person.scq("config", "get", key)

    def test_the_tools_are_those_of_this_repository(self) -> None:
        texts = {"pip": (ROOT / "README.md").read_text("utf-8"), "make": (ROOT / "Makefile").read_text("utf-8")}
        for span in spans("tool"):
            tool, rest = span.split(" ", 1)
            assert (span if tool == "pip" else f"\n{rest}:") in texts[tool]

    def test_what_is_printed_is_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        world = World(tmp_path)
        runner = scq.create_runner(world.root, OWNER, 5, home=world.owner.home)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", interrupted)
            runner.run()
        uid = world.submit("count", layout="b1")
        runner.check_for_new_jobs()
        world.owner.scq("approve", uid)
        runner.process_approved_jobs()
        runner.reset_all_jobs()
        said = capsys.readouterr().out
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("error")
            patch.setenv("SCQ_HOME", str(world.owner.home))
            patch.setenv("SCQ_EMAIL", OWNER)
            with alerts.session("training"):
                pass
        said += str(world.owner.json("template", "preview", "new_peer_request", "peer_request_sent")["previews"])
        said += "".join(path.read_text() for path in (world.owner.home / "mailbox" / "new").iterdir())
        printed = [span for row in ROWS if row.section == PRINTED for span in row.spans]
        assert len(printed) > 10
        assert [span for span in printed if span not in said] == []


def interrupted(seconds: float) -> None:
    raise KeyboardInterrupt


class TestOfVariables:
    def test_each_is_read_or_given_to_jobs(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.ended("environment", "env\n")
        in_job = {line.partition("=")[0] for line in world.owner.scq("logs", uid).out.splitlines()}
        unknown = [name for name in spans("variable") if name not in in_job and not self.is_read(name, world, monkeypatch)]
        assert unknown == []

    def is_read(self, name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> bool:
        """True when the variable changes what scq does."""
        if name == "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS":
            monkeypatch.setenv(name, "77")
            return bool(world.scientist.json("config", "get", "job_timeout")["value"] == 77)
        if name.endswith(("DEFAULT_BACKEND", "DEFAULT_CHANNEL")):
            return environment.default({name: "desktop"}) == "desktop"
        if name.endswith(("ENV_SRC", "ENV_FILE")):
            path = world.folder / "variables.src"
            path.write_text("export LAB=1\n")
            return environment.variables({name: str(path)})[0].get("LAB") == "1"
        sender = {} if name in environment.FROM else {environment.FROM[0]: "lab@gmail.com"}
        before = {**sender, **dict.fromkeys(environment.TWILIO[:3], "1")}
        return list(environment.settings({**before, name: "9@gmail.com"})) != list(environment.settings(before))
