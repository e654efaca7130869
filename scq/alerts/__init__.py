"""Alert functions for scripts: tell somebody that something ended, failed or is ready, over the channels of `scq`.

    from scq import alerts

    alerts.send("95.2 % accuracy", title="Training complete")
    with alerts.session("training"):
        train()

Channels are those of config.yaml and of the documented environment variables (docs/alerts.md). A function that names no
channel tries them in the order of `routing.order`. Success means that a service accepted the message.
"""

from scq.alerts.mails import notify, send_gmail
from scq.alerts.messages import (
    Result,
    alert,
    alert_async,
    available_backends,
    call,
    call_async,
    list_backends,
    send,
    sms,
    sms_async,
    tell,
)
from scq.alerts.settings import config
from scq.alerts.watching import notify_on_exit, session

__all__ = [
    "Result",
    "alert",
    "alert_async",
    "available_backends",
    "call",
    "call_async",
    "config",
    "list_backends",
    "notify",
    "notify_on_exit",
    "send",
    "send_gmail",
    "session",
    "sms",
    "sms_async",
    "tell",
]
