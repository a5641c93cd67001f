"""WeChat: subscribe messages (订阅消息) of a mini program, or template messages (模板消息) of a service account.

subscribeMessage.send: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html
(with the limits of each sort of field). The token comes from getStableAccessToken, which hands the same one to every worker
until it is about to end, so that it needs no place in the database:
https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from booking.notices.approved import WechatTemplate, cut, wechat_templates
from booking.notices.senders.provider import NoText, Outgoing, Permanent, Provider, Rendered, Sent, Temporary
from booking.notices.senders.wire import LANES, client, plain_id, post, refusal, side_by_side

PATHS = {"subscribe": "/cgi-bin/message/subscribe/send", "template": "/cgi-bin/message/template/send"}
TOKEN_IS_OLD = frozenset({40001, 40014, 42001})
NOT_THIS_PERSON = {43101: "refused by the user", 40003: "unknown to this account", 43004: "does not follow"}
BUSY = {-1: 5.0, 45009: 3600.0, 45047: 60.0}
HAD_ENOUGH = 45047
"""This person had too many messages; everybody else still gets theirs."""
TEMPLATE_IS_BAD = frozenset({40037, 47003})
"""The template's id or its fields; letters of other kinds pass."""
"""The system is busy; too many calls: with the seconds to wait."""
LONGEST_FIELD = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "phone_number": 17,
    "car_number": 8,
    "name": 10,
    "phrase": 5,
}
EARLY_SECONDS = 300
NOTHING = "无"
"""Stands for a word that a letter has not, such as the reason of a stop; WeChat's templates are Chinese."""


@dataclass
class Token:
    """The token of one account in this process."""

    value: str = ""
    ends_at: float = 0.0


_tokens: dict[str, Token] = {}
_asking = threading.Lock()


def wechat(settings: Mapping[str, Any], open_until: ExitStack) -> Provider:
    """Return the way over the account of `WECHAT_APP_ID`; letters whose kind has no template there cannot go."""
    by, base = client(settings, open_until), settings["WECHAT_URL"].rstrip("/")
    templates = wechat_templates(settings["WECHAT_TEMPLATES"])

    def send(outgoing: Outgoing) -> Sent:
        template = templates.get(outgoing.letter.template.removesuffix(".wechat"))
        if template is None:
            raise NoText("no text for the kind")
        body = json.dumps(_asked(settings, template, outgoing), ensure_ascii=False).encode()
        token = _token(settings, by, base)
        code, said = _ask(by, base, PATHS[settings["WECHAT_KIND"]], token, body)
        if code in TOKEN_IS_OLD:
            token = _token(settings, by, base, instead_of=token)
            code, said = _ask(by, base, PATHS[settings["WECHAT_KIND"]], token, body)
        if code == 0:
            return Sent("accepted", plain_id(said.get("msgid")))
        if code in NOT_THIS_PERSON:
            raise Permanent(f"{code}: {NOT_THIS_PERSON[code]}")
        if code in BUSY:
            raise Temporary(f"answered {code}", wait=BUSY[code], this_letter=code == HAD_ENOUGH)
        about_the_template = code in TEMPLATE_IS_BAD
        raise Temporary(
            f"answered {code}", ours=True, this_letter=about_the_template
        )  # somebody must mend it

    return Provider("wechat", "wechat", at_once=LANES, per_second=0, send=side_by_side(send, open_until))


def _asked(settings: Mapping[str, Any], template: WechatTemplate, outgoing: Outgoing) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "touser": outgoing.address,
        "template_id": template.id,
        "data": {name: {"value": value} for name, value in fields(template, outgoing.letter).items()},
    }
    if settings["WECHAT_KIND"] == "template":  # the same id within ten minutes is sent once
        return asked | {
            "url": f"{settings['PUBLIC_URL']}{outgoing.letter.page or '/me/appointments'}",
            "client_msg_id": outgoing.reference[-32:],
        }
    return asked | {"page": settings["WECHAT_PAGE"], "miniprogram_state": "formal", "lang": "zh_CN"}


def fields(template: WechatTemplate, letter: Rendered) -> dict[str, str]:
    """Return the template's fields with the letter's words, each cut to what its sort takes. Raises Temporary.

    WeChat refuses an empty one.
    """
    words = dict(letter.variables)
    filled: dict[str, str] = {}
    for name, word in template.fields.items():
        if word not in words:
            raise Temporary(f"the letter has no {word} for {name}", ours=True, this_letter=True)
        filled[name] = cut(
            words[word] or NOTHING, LONGEST_FIELD.get(re.sub(r"\d+$", "", name), 20 if word != "time" else 40)
        )
    return filled


def _ask(by: httpx.Client, base: str, path: str, token: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the error code (0: taken) and the whole answer. Raises Temporary."""
    answer = post(
        by, f"{base}{path}", body, {"Content-Type": "application/json"}, params={"access_token": token}
    )
    if not answer.is_success:
        raise refusal(answer)
    said = answer.json()
    code = said.get("errcode", 0 if "access_token" in said else None) if isinstance(said, dict) else None
    if not isinstance(code, int):
        raise Temporary("the answer names no code", ambiguous=True)
    return code, said


def _token(settings: Mapping[str, Any], by: httpx.Client, base: str, instead_of: str = "") -> str:
    """Return the account's token; with `instead_of` another than that, asked for with force when need be. Raises Temporary."""
    with _asking:
        kept = _tokens.setdefault(settings["WECHAT_APP_ID"], Token())
        if kept.value and kept.value != instead_of and monotonic() < kept.ends_at:
            return kept.value
        for force in (False, True):
            asked = {
                "grant_type": "client_credential",
                "appid": settings["WECHAT_APP_ID"],
                "secret": settings["WECHAT_APP_SECRET"],
                "force_refresh": force,
            }
            try:
                code, said = _ask(by, base, "/cgi-bin/stable_token", "", json.dumps(asked).encode())
            except Permanent as problem:
                raise Temporary(f"no token: {problem.why}", ours=True) from problem
            except Temporary as problem:  # no letter was told yet
                raise Temporary(f"no token: {problem.why}", wait=problem.wait, ours=problem.ours) from problem
            if code != 0:
                raise Temporary(f"no token: {code}", wait=BUSY.get(code, 0.0), ours=code not in BUSY)
            kept.value = str(said["access_token"])
            lasts = said.get("expires_in")
            kept.ends_at = monotonic() + max(60, (lasts if isinstance(lasts, int) else 7200) - EARLY_SECONDS)
            if kept.value != instead_of:
                break
        return kept.value
