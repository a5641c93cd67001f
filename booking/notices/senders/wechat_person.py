"""Who somebody is to our WeChat service account: OAuth 2 with the scope snsapi_base, which tells the openid and nothing else.

https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

from booking.errors import Refusal
from booking.notices.senders.provider import Temporary
from booking.notices.senders.wire import client, get

log = logging.getLogger(__name__)

CODE_IS_OVER = frozenset({40029, 40163, 41008, 42003})
LONGEST_WAIT = 5
"""Seconds for each step of an answer: somebody sits before the page."""
_OPENID = re.compile(r"[A-Za-z0-9_-]{6,64}")


class CodeOver(Refusal):
    status = 410
    message = "微信的授权已经失效或用过了，什么也没有改变。请重新开始。"


class NotThemselves(Refusal):
    message = "微信这次给的是临时身份，什么也没有改变。请点微信页面下方的“使用完整服务”，再重新开始。"


class WechatAway(Refusal):
    status = 503
    message = "暂时联系不上微信，什么也没有改变。请过几分钟重新开始。"


def authorize_url(settings: Mapping[str, Any], back_to: str, state: str) -> str:
    """Return where WeChat asks who somebody is, and sends them back to `back_to` with a code and our `state`.

    WeChat takes the parameters in this order only, and `state` of at most 128 letters and digits.
    """
    asked = urlencode(
        {
            "appid": settings["WECHAT_APP_ID"],
            "redirect_uri": back_to,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        }
    )
    return f"{settings['WECHAT_AUTHORIZE_URL']}?{asked}#wechat_redirect"


def openid_of(settings: Mapping[str, Any], code: str) -> str:
    """Exchange a code for the openid of whoever brought it; a code works once. Writes nothing, logs neither.

    Raises CodeOver, NotThemselves (a preview of the page, with an account that exists only there) and WechatAway, also
    when it is our settings that WeChat refuses: then somebody finds it in the log.
    """
    asked = {
        "appid": settings["WECHAT_APP_ID"],
        "secret": settings["WECHAT_APP_SECRET"],
        "code": code,
        "grant_type": "authorization_code",
    }
    short = {"SEND_TIMEOUT_SECONDS": min(LONGEST_WAIT, settings["SEND_TIMEOUT_SECONDS"])}
    try:
        with ExitStack() as open_until:
            by = client(short, open_until)
            answer = get(by, f"{settings['WECHAT_URL'].rstrip('/')}/sns/oauth2/access_token", asked)
            said = answer.json() if answer.is_success else {}
    except Temporary as problem:
        log.warning("WeChat does not say who somebody is: %s", problem.why)
        raise WechatAway() from None
    openid = said.get("openid") if isinstance(said, dict) else None
    if isinstance(openid, str) and _OPENID.fullmatch(openid):
        if said.get("is_snapshotuser") in (1, "1"):
            raise NotThemselves()
        return openid
    number = said.get("errcode") if isinstance(said, dict) else None
    if number in CODE_IS_OVER:
        raise CodeOver()
    log.error(
        "WeChat does not say who somebody is: answered %d, code %s",
        answer.status,
        number if isinstance(number, int) else "none",
    )
    raise WechatAway()
