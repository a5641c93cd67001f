"""What all letters share: their sentences shaped for the channel, short or in lines, as a page, with who signs."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from flask import current_app

from booking.notices.approved import WECHAT_WORDS
from booking.notices.filling import fill, lines_of, one_line
from booking.notices.senders.provider import Rendered
from booking.notices.short_text import link_host, short_message
from booking.notices.tongue import Tongue

_LABEL = re.compile(r"([^：:，。、,.]{1,24}(?:：|: ))(.*)")


def shape(
    kind: str,
    channel: str,
    words: dict[str, Any],
    tongue: Tongue,
    *,
    page: str = "",
    calendar: bytes = b"",
    method: str = "",
) -> Rendered:
    """Return the letter of `kind`: the first line of its sentences is the subject, the others are its lines.

    Messages that are read on a small screen or aloud have sentences of their own (`<kind>.sms.txt`, `<kind>.voice.txt`).
    `page` is where an e-mail and a WeChat message lead, `calendar` what it carries, with its `method`.
    """
    if channel == "sms":
        return short_message("", tongue.sentences(kind), words)
    if channel == "voice":
        return Rendered("", one_line(fill(f"{tongue.sentences(kind)}.voice.txt", words)))
    subject, *lines = lines_of(fill(f"{tongue.sentences(kind)}.txt", words))
    if channel == "app":
        return Rendered(subject, "\n".join(lines))
    if channel == "wechat":
        variables = tuple((name, str(words[name])) for name in WECHAT_WORDS if name in words)
        return Rendered(subject, "\n".join(lines), template=f"{kind}.wechat", variables=variables, page=page)
    ending = tongue.say("automatic", site())
    link = (tongue.say("online"), f"{current_app.config['PUBLIC_URL']}{page}") if page else None
    return Rendered(
        f"{mark()}{subject}",
        "\n".join([*lines, *(["".join(link)] if link else []), "", ending]),
        html=fill(
            "letter.html",
            {
                "language": {"zh": "zh-Hans"}.get(tongue.language, tongue.language),
                "subject": subject,
                "lines": [_labelled(line) for line in lines],
                "link": link,
                "ending": ending,
            },
        ),
        calendar=calendar,
        calendar_method=method,
    )


def wechat_time(at: date | datetime) -> str:
    """Return a day, or a moment in wall time, as the time and date fields of a WeChat template want it."""
    clock = f" {at:%H:%M}" if isinstance(at, datetime) else ""
    return f"{at.year}年{at.month}月{at.day}日{clock}"


def _labelled(line: str) -> tuple[str, str]:
    """Part 「时间：…」 into what it is about and what it says."""
    found = _LABEL.fullmatch(line)
    return (found[1], found[2]) if found else ("", line)


def site() -> str:
    """Return the name that every letter is signed with."""
    name: str = current_app.config["SITE_NAME"]
    return name


def host() -> str:
    """Return where the links of short messages lead, without a scheme."""
    return link_host(current_app.config)


def mark() -> str:
    """Return the name as a subject begins with it."""
    return f"【{site()}】"
