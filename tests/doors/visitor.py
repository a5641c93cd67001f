"""A person at the patient pages without script: opens pages, fills forms with their tokens, signs in."""

from __future__ import annotations

import html
import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def title(answer: TestResponse) -> str:
    """Return the page's title."""
    found = re.search(r"<title>(.*?)</title>", answer.text, re.DOTALL)
    return html.unescape(found[1]).strip() if found else ""


def hidden(answer: TestResponse, name: str) -> str:
    """Return the value of a hidden field, whatever the order of its attributes; fails when there is none."""
    for tag in re.findall(r"<input[^>]*>", answer.text):
        if f'name="{name}"' in tag:
            value = re.search(r'value="([^"]*)"', tag)
            return html.unescape(value[1]) if value else ""
    raise AssertionError(f"no field {name}")


def links(answer: TestResponse) -> list[str]:
    """Return the addresses of the page's links to pages of this site."""
    found = [html.unescape(one) for one in re.findall(r'href="(/[^"]*)"', answer.text)]
    return [one for one in found if not one.startswith("/static/")]


class Visitor:
    """One browser: its cookies, its forgery token."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, **more)

    def token(self) -> str:
        found = TOKEN.search(self.client.get("/about").text)
        assert found, "the frame of every page carries a token"
        return found[1]

    def post(self, path: str, values: dict[str, Any] | None = None, /, **fields: Any) -> TestResponse:
        """Send a form with its token; redirects are not followed."""
        return self.client.post(path, data={"csrf_token": self.token(), **(values or {}), **fields})

    def follow(self, answer: TestResponse) -> TestResponse:
        assert answer.status_code == 303, f"{answer.status_code}: {answer.text[:2000]}"
        return self.get(answer.headers["Location"])

    def sign_in(self, phone: str = "13800130901", to: str = "") -> TestResponse:
        """Sign in with the code that the demo shows; return the page one is led to."""
        asked = self.follow(self.post("/login", phone=phone.removeprefix("+86"), next=to))
        code = re.search(r"<strong class=\"nums\">(\d{6})</strong>", asked.text)
        assert code, asked.text
        return self.follow(self.post("/login/code", code=code[1], next=to))
