"""Mail over SMTP: never unprotected by accident, every answer understood, and nothing said twice about what is unknown."""

from __future__ import annotations

import base64
import socket
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace
from trustme import CA

from scq.channels import smtp
from scq.channels.mail import compose, mailbox
from scq.channels.place import Place
from scq.channels.smtp import SmtpChannel
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError, ConfigError
from scq.ports import Attachment, Message
from tests.servers.drip import dripping
from tests.servers.smtp import PASSWORD, USER, Script, ScriptedServer, mail_server, tls_context

MESSAGE = Message(
    key="ab" * 32,
    event="job.received",
    sender="owner@example.org",
    recipient="ana@uni.example",
    subject="Job: survey [scq 01234567]",
    text="Hello\n.\n..two\nFrom Grüße\n",
    html="<p>Hello</p>",
    at_iso="2026-03-02T10:30:00+00:00",
)


@pytest.fixture(scope="module")
def ca() -> CA:
    return CA()


@pytest.fixture(scope="module")
def ca_file(ca: CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def channel(port: int, **changes: object) -> SmtpChannel:
    return SmtpChannel(replace(ChannelSetting("relay", "smtp", host="localhost", port=port), **changes), Place(env={}))


def plain(port: int, **changes: object) -> SmtpChannel:
    return channel(port, tls="none", insecure=True, **changes)


def refusal(target: SmtpChannel, message: Message = MESSAGE) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        target.send(message)
    return caught.value


def parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content.replace(b"\r\n", b"\n"), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_a_message_arrives_over_tls_after_a_sign_in(tls: Literal["starttls", "ssl"], ca: CA, ca_file: str) -> None:
    with mail_server(tls, tls_context(ca), auth=True) as server:
        sent = channel(server.port, tls=tls, ca_file=ca_file, user=USER, password=PASSWORD).send(MESSAGE)
    assert sent.text == "2.0.0 taken as number 1"
    (envelope,) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("owner@example.org", ["ana@uni.example"])
    mail = parsed(server.contents[0])
    assert mail["Message-ID"] == sent.message_id
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content() == MESSAGE.text


def test_the_server_is_not_told_the_name_of_this_machine(ca: CA, ca_file: str) -> None:
    with mail_server("starttls", tls_context(ca)) as server:
        channel(server.port, ca_file=ca_file).send(MESSAGE)
    assert server.names == ["example.org"]
    assert socket.gethostname().encode() not in server.contents[0]


def test_the_sender_of_the_channel_stands_in_the_envelope_and_with_its_name_in_the_mail(ca: CA, ca_file: str) -> None:
    with mail_server("starttls", tls_context(ca)) as server:
        channel(server.port, ca_file=ca_file, sender="Quëue, the <bot@example.net>").send(MESSAGE)
    assert server.envelopes[0].mail_from == "bot@example.net"
    (sender,) = parsed(server.contents[0])["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Quëue, the", "bot@example.net")


def test_attachments_and_copies_go_with_the_message(ca: CA, ca_file: str) -> None:
    message = replace(MESSAGE, cc=("bo@x.org",), attachments=(Attachment("run.log", b"\x00\xff.\r\n.\n", "text/plain"),))
    with mail_server("starttls", tls_context(ca)) as server:
        channel(server.port, ca_file=ca_file).send(message)
    assert server.envelopes[0].rcpt_tos == ["ana@uni.example", "bo@x.org"]
    mail = parsed(server.contents[0])
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "run.log"
    assert attached.get_payload(decode=True) == b"\x00\xff.\r\n.\n"


def test_a_wrong_password_needs_a_sign_in_and_is_never_shown(ca: CA, ca_file: str) -> None:
    with mail_server("starttls", tls_context(ca), auth=True) as server:
        error = refusal(channel(server.port, ca_file=ca_file, user=USER, password="wrong horse"))
    assert error.kind == "auth"
    assert "535" in str(error)
    assert "wrong horse" not in str(error) + error.advice
    assert server.envelopes == []


def test_a_server_that_wants_a_sign_in_says_so(ca: CA, ca_file: str) -> None:
    with mail_server("starttls", tls_context(ca), auth=True) as server:
        assert refusal(channel(server.port, ca_file=ca_file)).kind == "auth"


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_said(
    tls: Literal["starttls", "ssl"], ca_file: str
) -> None:
    with mail_server(tls, tls_context(CA()), auth=True) as server:
        error = refusal(channel(server.port, tls=tls, ca_file=ca_file, user=USER, password=PASSWORD))
    assert error.kind == "config"
    assert "certificate is not trusted" in str(error)
    assert "ca_file" in error.advice
    assert server.envelopes == []


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_a_certificate_for_another_name_is_refused(tls: Literal["starttls", "ssl"], ca: CA, ca_file: str) -> None:
    with mail_server(tls, tls_context(ca, "mail.example.org")) as server:
        error = refusal(channel(server.port, tls=tls, ca_file=ca_file))
    assert error.kind == "config"
    assert "localhost" in str(error)


def test_without_starttls_nothing_is_sent_and_nobody_signs_in() -> None:
    with ScriptedServer(Script()) as server:
        error = refusal(channel(server.port, user=USER, password=PASSWORD))
    assert error.kind == "config"
    assert "offers no STARTTLS" in str(error)
    assert [line.split()[0] for line in server.commands] == ["EHLO", "QUIT"]


@pytest.mark.parametrize(("answer", "kind"), [("454 not now", "transient"), ("501 never", "config"), ("", "transient")])
def test_a_refused_starttls_is_never_replaced_by_none(answer: str, kind: str) -> None:
    script = Script({"EHLO": "250-here\r\n250 STARTTLS", "STARTTLS": answer})
    with ScriptedServer(script) as server:
        assert refusal(channel(server.port, user=USER, password=PASSWORD)).kind == kind
    assert {line.split()[0] for line in server.commands} <= {"EHLO", "STARTTLS", "QUIT", "(gone)"}


def test_tls_with_a_server_that_speaks_none_is_a_matter_of_configuration() -> None:
    with ScriptedServer(Script()) as server:
        error = refusal(channel(server.port, tls="ssl"))
    assert error.kind == "config"
    assert "TLS cannot be agreed on" in str(error)


def test_a_connection_that_ends_in_the_middle_of_tls_may_work_later() -> None:
    with ScriptedServer(Script({"": ""})) as server:
        assert refusal(channel(server.port, tls="ssl")).kind == "transient"


def test_without_protection_only_when_it_is_said_to_be_insecure() -> None:
    with pytest.raises(ConfigError, match="channels.relay.tls"):
        channel(25, tls="none")
    with pytest.raises(ConfigError, match="tls: 'maybe'"):
        channel(25, tls="maybe")
    with mail_server("none") as server:
        plain(server.port).send(MESSAGE)
    assert len(server.envelopes) == 1


def test_the_usual_ports_belong_to_the_kinds_of_protection() -> None:
    assert smtp.PORTS == {"starttls": 587, "ssl": 465, "none": 25}


REPLIES = [
    ("421 closing", "transient"),
    ("450 busy", "transient"),
    ("451 error", "transient"),
    ("452 full", "transient"),
    ("454 later", "transient"),
    ("499 odd", "transient"),
    ("530 sign in", "auth"),
    ("534 stronger", "auth"),
    ("535 who", "auth"),
    ("550 no such user", "permanent"),
    ("551 elsewhere", "permanent"),
    ("552 too large", "permanent"),
    ("553 bad name", "permanent"),
    ("554 no", "permanent"),
    ("599 odd", "permanent"),
]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize(("answer", "kind"), REPLIES)
def test_every_answer_of_the_table_has_its_meaning_at_every_step(step: str, answer: str, kind: str) -> None:
    with ScriptedServer(Script({step: answer})) as server:
        error = refusal(plain(server.port))
    assert error.kind == kind
    assert answer in str(error)
    assert error.advice
    assert len(server.messages) == (step == ".")


@pytest.mark.parametrize("answer", ["421 closing", "554 not you"])
def test_a_greeting_that_refuses_is_never_the_fault_of_the_message(answer: str) -> None:
    with ScriptedServer(Script({"": answer})) as server:
        assert refusal(plain(server.port)).kind == ("transient" if answer.startswith("4") else "config")


@pytest.mark.parametrize("step", ["", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_message_may_work_later(step: str) -> None:
    with ScriptedServer(Script({step: ""})) as server:
        assert refusal(plain(server.port)).kind == "transient"
    assert server.messages == []


@pytest.mark.parametrize("script", [Script({".": ""}), Script(cut=20), Script({".": "what?"}), Script({".": "354 go on"})])
def test_a_connection_lost_after_the_message_leaves_it_unknown(script: Script) -> None:
    with ScriptedServer(script) as server:
        error = refusal(plain(server.port))
    assert error.kind == "ambiguous"
    assert len(server.messages) == 1


def test_a_silent_server_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(plain(silent.getsockname()[1]))
    assert error.kind == "transient"


@pytest.mark.parametrize("beginning", [b"220-", b"220-a\r\n220-b\r\n2"])
def test_an_answer_that_drips_is_left(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.2)
    with dripping(beginning, asked=False) as port:
        assert refusal(plain(port)).kind == "transient"


def test_silence_after_the_message_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.5)
    done = threading.Event()

    def talk(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, client.makefile("rwb") as stream:
            for answer in (b"220 a", b"250 b", b"250 c", b"250 d", b"354 e"):
                stream.write(answer + b"\r\n")
                stream.flush()
                stream.readline()
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        error = refusal(plain(listener.getsockname()[1]))
        done.set()
        thread.join()
    assert error.kind == "ambiguous"


def test_a_server_that_is_not_there_may_be_there_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    error = refusal(plain(port))
    assert error.kind == "transient"
    assert f"localhost:{port}: cannot be reached" in str(error)


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "\ud800"])
def test_what_cannot_be_the_name_of_a_server_is_a_matter_of_configuration(host: str) -> None:
    error = refusal(plain(1, host=host))
    assert error.kind == "config"
    assert "is not the name of a server" in str(error)


def test_a_goodbye_that_fails_changes_nothing() -> None:
    with ScriptedServer(Script({"QUIT": ""})) as server:
        assert plain(server.port).send(MESSAGE).text == "fine"


def test_dots_at_the_beginning_of_lines_and_bare_line_ends_cannot_end_a_message() -> None:
    with ScriptedServer(Script()) as server:
        plain(server.port).send(replace(MESSAGE, html=None, text="a\n.\nQUIT\n.\r.\r\nb\r.\n"))
    (content,) = server.messages
    lines = content.split(b"\r\n")
    assert b".." in lines
    assert b"." not in lines
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert server.commands[-1] == "QUIT"


@pytest.mark.parametrize("bad", ["a@b.org>\r\nRCPT TO:<c@d.org", "a@b.org SIZE=1", "<a@b.org>", "a@b.org\r\nDATA"])
def test_addresses_cannot_become_commands(bad: str) -> None:
    with ScriptedServer(Script()) as server:
        assert refusal(plain(server.port), replace(MESSAGE, recipient=bad)).kind == "permanent"
        assert refusal(plain(server.port), replace(MESSAGE, cc=(bad,))).kind == "permanent"
        assert refusal(plain(server.port, sender=bad + "\r\n>")).kind == "config"
        plain(server.port).send(replace(MESSAGE, sender=bad))
    assert [line for line in server.commands if line.startswith(("MAIL", "RCPT"))] == [
        "MAIL FROM:<scq@localhost>",
        "RCPT TO:<ana@uni.example>",
    ]


def test_answers_of_a_server_are_shown_as_one_clean_line() -> None:
    with ScriptedServer(Script({".": "550-\x1b[2Jred\u202e\r\n550 second " + "x" * 900})) as server:
        shown = str(refusal(plain(server.port)))
    assert shown.isprintable()
    assert len(shown) < 400
    assert "red" in shown


def test_an_answer_without_end_is_not_listened_to() -> None:
    with ScriptedServer(Script({"EHLO": "\r\n".join(["250-more"] * 5000)})) as server:
        error = refusal(plain(server.port))
    assert error.kind == "transient"


def test_a_line_without_end_is_not_listened_to() -> None:
    with ScriptedServer(Script({".": "250 " + "x" * 20000})) as server:
        assert refusal(plain(server.port)).kind == "ambiguous"


OFFERS = "250-here\r\n250 AUTH PLAIN"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("535 no", "auth"), ("550 no", "auth"), ("454 later", "transient"), ("421 bye", "transient"), ("", "transient")],
)
def test_a_refused_sign_in_has_its_meaning(answer: str, kind: str) -> None:
    with ScriptedServer(Script({"EHLO": OFFERS, "AUTH": answer})) as server:
        assert refusal(plain(server.port, user=USER, password=PASSWORD)).kind == kind
    assert server.messages == []


@pytest.mark.parametrize("offers", ["250-here\r\n250 AUTH GSSAPI", "250 here"])
def test_a_server_without_a_usable_sign_in_gets_no_password(offers: str) -> None:
    with ScriptedServer(Script({"EHLO": offers})) as server:
        error = refusal(plain(server.port, user=USER, password=PASSWORD))
    assert error.kind == "config"
    assert "sign" in str(error)
    assert not any(line.startswith("AUTH") for line in server.commands)


@pytest.mark.parametrize("challenge", ["334 !", "334 YWJj"])
def test_a_challenge_that_makes_no_sense_is_an_error_and_no_crash(challenge: str) -> None:
    script = Script({"EHLO": "250-here\r\n250 AUTH CRAM-MD5", "AUTH": challenge})
    with ScriptedServer(script) as server:
        assert refusal(plain(server.port, user=USER, password=PASSWORD)).kind in ("config", "transient", "auth")
    assert server.messages == []


@pytest.mark.parametrize("step", ["AUTH", "MAIL", "."])
def test_a_server_that_repeats_the_password_cannot_make_it_seen(step: str) -> None:
    forms = [PASSWORD, *(base64.b64encode(word.encode()).decode() for word in (PASSWORD, f"\0{USER}\0{PASSWORD}"))]
    with ScriptedServer(Script({"EHLO": OFFERS, "AUTH": "235 yes"} | {step: f"535 not {' '.join(forms)} here"})) as server:
        error = refusal(plain(server.port, user=USER, password=PASSWORD))
    chain = [error, error.__cause__, error.__context__ if not error.__suppress_context__ else None]
    assert not any(form in repr(link) for form in forms for link in chain)
    assert "here" in str(error)


def test_who_is_refused_for_good_is_left_out_and_the_others_get_it() -> None:
    message = replace(MESSAGE, cc=("bo@x.org", "cy@x.org"))
    with ScriptedServer(Script({"RCPT TO:<bo@x.org>": "550 unknown"})) as server:
        sent = plain(server.port).send(message)
    assert sent.text == "fine; refused: bo@x.org"
    assert len(server.messages) == 1


def test_a_recipient_that_is_refused_for_good_fails_though_the_copies_go_out() -> None:
    message = replace(MESSAGE, cc=("bo@x.org",))
    with ScriptedServer(Script({"RCPT TO:<ana@uni.example>": "550 unknown"})) as server:
        error = refusal(plain(server.port), message)
    assert error.kind == "permanent"
    assert "ana@uni.example" in str(error)
    assert len(server.messages) == 1


def test_when_somebody_is_refused_for_now_nobody_gets_it_yet() -> None:
    message = replace(MESSAGE, cc=("bo@x.org",))
    with ScriptedServer(Script({"RCPT TO:<bo@x.org>": "450 greylisted"})) as server:
        assert refusal(plain(server.port), message).kind == "transient"
    assert server.messages == []


def test_when_everybody_is_refused_nothing_is_handed_over() -> None:
    with ScriptedServer(Script({"RCPT": "550 unknown"})) as server:
        assert refusal(plain(server.port), replace(MESSAGE, cc=("bo@x.org",))).kind == "permanent"
    assert server.messages == []
    assert server.commands[-1] == "QUIT"


def test_the_size_is_announced_to_a_server_that_asks_for_it() -> None:
    with ScriptedServer(Script({"EHLO": "250-here\r\n250 SIZE 1000"})) as server:
        plain(server.port).send(MESSAGE)
    size = len(server.messages[0].replace(b"\r\n..", b"\r\n."))
    assert f"MAIL FROM:<owner@example.org> size={size}" in server.commands


def test_a_long_message_arrives_whole(ca: CA, ca_file: str) -> None:
    text = "".join(f".line {number} " + "x" * 60 + "\n" for number in range(5000))
    with mail_server("starttls", tls_context(ca)) as server:
        channel(server.port, ca_file=ca_file).send(replace(MESSAGE, html=None, text=text))
    assert parsed(server.contents[0]).get_content() == text


def test_what_is_missing_is_known_before_anything_is_sent(tmp_path: Path, ca_file: str) -> None:
    assert channel(1).usable() == ""
    assert channel(1, ca_file=ca_file, user=USER, password=PASSWORD, sender="A <a@b.org>").usable() == ""
    assert "password is not" in channel(1, user=USER).usable()
    assert "PW is not set" in channel(1, user=USER, password_env="PW").usable()
    assert "not ASCII" in channel(1, user=USER, password="Grüße").usable()
    assert "is not a sender" in channel(1, sender="nobody").usable()
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "missing.pem"):
        target = channel(1, ca_file=str(tmp_path / name))
        assert name in target.usable()
    assert refusal(channel(1, user=USER, password_env="PW")).kind == "config"


def test_certificates_that_cannot_be_read_are_a_matter_of_configuration(tmp_path: Path) -> None:
    with ScriptedServer(Script({"EHLO": "250-here\r\n250 STARTTLS", "STARTTLS": "220 go"})) as server:
        assert refusal(channel(server.port, ca_file=str(tmp_path / "no.pem"))).kind == "config"


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.org", "", "a@b.org"),
        (" <a@b.org> ", "", "a@b.org"),
        ('"The, Queue" <a@b.org>', "The, Queue", "a@b.org"),
        ("=?utf-8?q?=0D=0ABcc:_x@y?= <a@b.org>", "= ?utf-8?q?=0D=0ABcc:_x@y?=", "a@b.org"),
    ],
)
def test_a_sender_may_have_a_name(text: str, name: str, address: str) -> None:
    found = mailbox(text)
    assert (found.display_name, found.addr_spec) == (name, address)
    assert compose(MESSAGE, text)["From"].addresses[0].addr_spec == address


@pytest.mark.parametrize("text", ["nobody", "a@b.org, c@d.org", "A <a@b.org> B", "A <a@b.org> <c@d.org>", "<>"])
def test_what_is_not_one_sender_is_refused(text: str) -> None:
    with pytest.raises(ChannelError, match="is not a sender") as caught:
        mailbox(text)
    assert caught.value.kind == "config"
