"""Settings of channels: what each type must have, may have and refuses, and where its secrets are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scq.channels import MAKERS
from scq.config import Loaded, judge
from scq.config_channels import CHANNEL_KEYS, CHANNEL_TYPES, MAIL_TYPES, SECRETS, ChannelSetting, channel_keys
from scq.secrets import Secret

VALUES: dict[str, Any] = {
    "command": ["/usr/bin/tell", "now"],
    "host": "mail.example.org",
    "url": "https://hooks.example.org/x",
    "token": "word",
    "sid": "AC0",
    "from": "+15550100",
    "to": ["+15550101"],
}


def judged(entry: object) -> Loaded:
    return judge({"channels": {"a": entry}}, "config.yaml", {"HOME": "/home/me"}, {}, home="/home/me/scq")


def setting(**entry: Any) -> ChannelSetting:
    loaded = judged(entry)
    assert loaded.problems == ()
    return loaded.config.channels[0]


def wrong(**entry: Any) -> list[str]:
    return [problem.where.removeprefix("config.yaml: channels.a.") for problem in judged(entry).errors]


def smallest(type_name: str) -> dict[str, Any]:
    return {"type": type_name, **{name: VALUES[name] for name in CHANNEL_TYPES[type_name][0]}}


@pytest.mark.parametrize("type_name", CHANNEL_TYPES)
def test_every_type_is_content_with_what_it_must_have_and_misses_each_of_it(type_name: str) -> None:
    assert setting(**smallest(type_name)).type == type_name
    for name in CHANNEL_TYPES[type_name][0]:
        entry = smallest(type_name)
        del entry[name]
        assert wrong(**entry) == [name]


def test_every_type_has_a_maker_and_every_setting_a_field() -> None:
    assert set(CHANNEL_TYPES) == set(MAKERS)
    assert set(CHANNEL_TYPES) > MAIL_TYPES
    assert {key.attribute for key in CHANNEL_KEYS.values()} == set(ChannelSetting.__struct_fields__) - {"name"}


@pytest.mark.parametrize("type_name", CHANNEL_TYPES)
def test_a_type_knows_its_own_settings_only(type_name: str) -> None:
    must, may = CHANNEL_TYPES[type_name]
    known = channel_keys(type_name)
    assert {"type", *must, *may} <= set(known)
    for name in set(CHANNEL_KEYS) - set(known):
        (problem,) = judged({**smallest(type_name), name: "x"}).problems
        assert problem.where == f"config.yaml: channels.a.{name}"
        assert "not a known key" in problem.what


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_four_places_but_only_one_at_a_time(name: str) -> None:
    type_name = {"url": "webhook", "password": "smtp", "token": "telegram", "sid": "twilio-sms", "signing": "webhook"}[name]
    base = {key: value for key, value in smallest(type_name).items() if key != name}
    more = {"user": "bot"} if name == "password" else {}
    places = {name: "word", f"{name}_env": "WORD", f"{name}_file": "~/word", f"{name}_keyring": "scq/word"}
    expected = {
        name: Secret("word"),
        f"{name}_env": Secret(env="WORD"),
        f"{name}_file": Secret(file="/home/me/word"),
        f"{name}_keyring": Secret(keyring="scq/word"),
    }
    for place, value in places.items():
        assert setting(**base, **more, **{place: value}).secret(name) == expected[place]
    assert wrong(**base, **more, **{f"{name}_env": "WORD", f"{name}_file": "/word"}) == [name]


def test_a_secret_that_is_nowhere_is_false() -> None:
    assert not ChannelSetting().secret("password")


def test_a_setting_is_shown_without_its_secrets() -> None:
    assert repr(ChannelSetting("a", "slack", url="https://x/word")) == "ChannelSetting('a', 'slack')"


def test_mail_channels_are_those_that_can_write_to_any_address() -> None:
    assert [name for name in CHANNEL_TYPES if ChannelSetting(type=name).is_mail] == ["file", "gmail", "smtp"]


def test_smtp_has_all_its_settings() -> None:
    found = setting(
        type="smtp",
        host="mail.example.org",
        port=2525,
        tls="none",
        insecure=True,
        ca_file="$SCQ_HOME/ca.pem",
        user="bot",
        password_env="SMTP_PASSWORD",
        **{"from": "Queue <bot@example.org>"},
    )
    assert (found.host, found.port, found.tls, found.insecure) == ("mail.example.org", 2525, "none", True)
    assert (found.ca_file, found.user, found.sender) == ("/home/me/scq/ca.pem", "bot", "Queue <bot@example.org>")
    assert found.secret("password") == Secret(env="SMTP_PASSWORD")


def test_smtp_without_protection_has_to_be_meant() -> None:
    assert wrong(type="smtp", host="h", tls="none") == ["tls"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""),
        ("host", 7),
        ("host", "a\nb"),
        ("port", 0),
        ("port", 65536),
        ("port", True),
        ("port", "587"),
        ("tls", "maybe"),
        ("tls", False),
        ("insecure", "yes"),
        ("ca_file", "ca.pem"),
        ("user", ["bot"]),
        ("password", "a\x00b"),
        ("password", ""),
        ("password_env", "SMTP PASSWORD"),
        ("password_env", "ÄÖ"),
        ("password_env", "X" * 201),
        ("password_file", "../secret"),
        ("password_keyring", 7),
        ("from", "a\r\nBcc: b@example.org"),
        ("from", 7),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object) -> None:
    assert key in wrong(**{"type": "smtp", "host": "mail.example.org", key: value})


@pytest.mark.parametrize("value", ["tell", "/bin/tell", [], ["tell"], ["./tell"], [7], ["/bin/tell", 7], ["/x"] * 101, ["/a\nb"]])
def test_a_command_is_a_list_that_begins_with_a_whole_path(value: object) -> None:
    assert set(wrong(type="exec", command=value)) == {"command"}


@pytest.mark.parametrize(("value", "kept"), [("#team", ("#team",)), (["a", -100123], ("a", "-100123")), (42, ("42",))])
def test_targets_are_words_or_ids(value: object, kept: tuple[str, ...]) -> None:
    assert setting(type="slack-bot", token_env="T", to=value).to == kept


@pytest.mark.parametrize("value", [[], "", " ", True, [True], ["a", ""], ["a\nb"], {"a": "b"}, ["a"] * 51, 1.5])
def test_what_is_no_target_is_named(value: object) -> None:
    assert set(wrong(type="slack-bot", token_env="T", to=value)) == {"to"}


@pytest.mark.parametrize("value", [83, 15550101, "5550101", ["+15550101", "15550102"]])
def test_a_number_to_call_begins_with_a_plus_so_that_yaml_cannot_change_it(value: object) -> None:
    assert "to" in wrong(**{**smallest("twilio-sms"), "to": value})


@pytest.mark.parametrize("value", ["15550100", "+1 555", "Queue", "+"])
def test_a_number_that_calls_begins_with_a_plus_too(value: str) -> None:
    assert wrong(**{**smallest("twilio-call"), "from": value}) == ["from"]


def test_whoever_signs_in_needs_a_password() -> None:
    assert wrong(type="smtp", host="h", user="bot") == ["password"]
    assert wrong(type="smtp", host="h", user="bot", password_env="WORD") == []


@pytest.mark.parametrize("value", ["nobody", "Queue bot@example.org", "a@example.org, b@example.org", "<a@example.org"])
@pytest.mark.parametrize("entry", [{"type": "smtp", "host": "h"}, {"type": "gmail"}])
def test_a_sender_of_mail_is_one_address(value: str, entry: dict[str, Any]) -> None:
    assert wrong(**entry, **{"from": value}) == ["from"]


def test_the_settings_of_a_type_nobody_knows_are_not_judged() -> None:
    assert wrong(type="pigeon", url="https://x", host="h") == ["type"]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "a/b", "x" * 41, "-", "_-_", "a\nb"])
def test_a_name_is_short_and_plain(name: str, tmp_path: Path) -> None:
    loaded = judge({"channels": {name: {"type": "stdout"}}}, "config.yaml", {}, {}, home=str(tmp_path))
    assert len(loaded.errors) == 1
    assert "a channel name of up to 40 letters" in loaded.errors[0].what
