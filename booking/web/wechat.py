"""Binding one's WeChat, so that letters go there too: asked of WeChat (OAuth 2), confirmed by a button here.

The way out and the way back belong together by `state`, a random word in the signed cookie of the browser that began: good
once, for ten minutes, and for the account that was signed in. Without it somebody could lead another person's browser to
our address with a code of their own, and from then on read that person's letters. The way back is a link, and a link
changes nothing: what it brings is exchanged and written only when the button is pressed.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask.wrappers import Response
from flask_babel import gettext as _

from booking.db import end_read
from booking.errors import Refusal
from booking.limits import limiter
from booking.notices.senders.choose import binds_wechat
from booking.notices.senders.wechat_person import authorize_url, openid_of
from booking.people.preferences import bind_wechat, unbind_wechat
from booking.vault import same
from booking.web.frame import CSP
from booking.web.session import WECHAT, Me, browser, me, now, signed_in

blueprint = Blueprint("wechat", __name__)

GOOD_FOR = timedelta(minutes=10)
_WORD = re.compile(r"[A-Za-z0-9_-]{1,128}")


@blueprint.before_request
def _only_where_it_can_be_bound() -> None:
    if not binds_wechat(current_app.config):
        abort(404)


@blueprint.after_request
def _let_the_form_lead_to_wechat(answer: Response) -> Response:
    """Browsers ask `form-action` of every address that a sent form is led on to."""
    there = urlsplit(current_app.config["WECHAT_AUTHORIZE_URL"])
    words = CSP.replace("form-action 'self'", f"form-action 'self' {there.scheme}://{there.netloc}")
    answer.headers["Content-Security-Policy"] = words
    # the address of the way back carries WeChat's code: what it leads on to must not be told of it, and log it
    answer.headers["Referrer-Policy"] = "strict-origin"
    return answer


@blueprint.get("/me/settings/wechat")
@signed_in
def show() -> ResponseReturnValue:
    """Say what binding does and whether this account's WeChat is bound."""
    return _page()


@blueprint.post("/me/settings/wechat")
@limiter.limit("30/minute;200/hour")
@limiter.limit("6/minute;20/hour", key_func=browser)
@signed_in
def start() -> ResponseReturnValue:
    """Begin, and lead to WeChat; an earlier beginning in this browser is worth nothing any more."""
    state = secrets.token_hex(16)
    session[WECHAT] = [state, _me().account_id, int((now() + GOOD_FOR).timestamp())]
    back_to = f"{current_app.config['PUBLIC_URL']}{url_for('wechat.confirm')}"
    return redirect(authorize_url(current_app.config, back_to, state), code=303)


@blueprint.route("/me/settings/wechat/confirm", methods=["GET", "POST"])
@limiter.limit("30/minute;200/hour", methods=["POST"])
@limiter.limit("6/minute;20/hour", methods=["POST"], key_func=browser)
def confirm() -> ResponseReturnValue:
    """Where WeChat leads back to: ask whether to bind; a POST exchanges the code and binds."""
    if me() is None:  # without what stands behind the question mark: the code belongs into no other address
        return redirect(url_for("login.login", next=url_for("wechat.show")), code=303)
    state, code = _word("state"), _word("code")
    if not _began_here(state):
        return _page(
            _("这次绑定不是在这个浏览器里开始的，或者已经用过、超过了 10 分钟。什么也没有改变，请重新开始。")
        ), 410
    if not code:
        return _page(_("微信没有授权，什么也没有改变。要绑定请重新开始。")), 422
    if request.method == "GET":
        return render_template(
            "web/settings_wechat_confirm.html", state=state, code=code, phone_masked=_me().phone_masked
        )
    session.pop(WECHAT)
    end_read()  # no connection is held while WeChat is asked
    try:
        openid = openid_of(current_app.config, code)
    except Refusal as refusal:
        return _page(refusal.text), refusal.status
    bind_wechat(_me().account_id, openid)
    flash(_("微信已绑定，以后的通知也会发到那里。"), "ok")
    return redirect(url_for("wechat.show"), code=303)


@blueprint.post("/me/settings/wechat/unbind")
@signed_in
def unbind() -> ResponseReturnValue:
    """Forget this account's WeChat; a repeat changes nothing."""
    unbind_wechat(_me().account_id)
    flash(_("微信已解除绑定，通知不再发到那里。"), "ok")
    return redirect(url_for("wechat.show"), code=303)


def _me() -> Me:
    person = me()
    assert person is not None
    return person


def _word(name: str) -> str:
    """Return what came back under `name`, or "" for what WeChat never sends."""
    said = request.values.get(name, "")
    return said if _WORD.fullmatch(said) else ""


def _began_here(state: str) -> bool:
    """Whether this browser began with `state`, not long ago, for the account that is signed in now."""
    kept: Any = session.get(WECHAT)
    if not isinstance(kept, list) or len(kept) != 3:
        return False
    return same(str(kept[0]), state) and kept[1] == _me().account_id and now().timestamp() < kept[2]


def _page(problem: str = "") -> str:
    return render_template(
        "web/settings_wechat.html",
        bound=_me().has_wechat,
        in_wechat="MicroMessenger" in request.user_agent.string,
        address=f"{current_app.config['PUBLIC_URL']}{url_for('wechat.show')}",
        problems=[{"text": problem, "href": "", "more": None}] if problem else [],
    )
