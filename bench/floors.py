"""What bare Flask and bare Celery do: a POST that does nothing, a page of a given size, a task that does nothing."""

from __future__ import annotations

import os

from celery import Celery
from flask import Flask, render_template, request
from jinja2 import DictLoader

app = Flask(__name__, static_folder=None)
FRAME = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{% block title %}{% endblock %}</title>
<link rel="stylesheet" href="/app.css"></head><body><header><nav><a href="/">首页</a> <a href="/doctors">找医生</a></nav></header>
<main>{% block main %}{% endblock %}</main><footer><p>页脚</p></footer></body></html>"""
PAGE = """{% extends "frame.html" %}{% block title %}{{ doctor.name }}{% endblock %}{% block main %}<h1>{{ doctor.name }}</h1>
<p>{{ doctor.about }}</p><ul class="slots">{% for slot in slots %}<li class="{{ 'free' if slot.left else 'full' }}">
<form method="post" action="/hold/{{ slot.id }}"><input type="hidden" name="csrf_token" value="{{ token }}">
<button{% if not slot.left %} disabled{% endif %}><time>{{ slot.time }}</time> <span>余 {{ slot.left }}</span>
</button></form></li>
{% endfor %}</ul>{% endblock %}"""
app.jinja_loader = DictLoader({"frame.html": FRAME, "page.html": PAGE})
DOCTOR = {"name": "沈<知远>", "about": "呼吸内科常见病与慢性咳嗽。" * 8}
SLOTS = [
    {"id": number, "time": f"{8 + number // 12 % 10:02d}:{number % 12 * 5:02d}", "left": number % 3}
    for number in range(1000)
]


@app.post("/null")
def null() -> str:
    """Read a form, do nothing."""
    return f"done {request.form.get('slot', '')[:1]}"


@app.get("/page/<int:rows>")
def page(rows: int) -> str:
    """Show a page with as many rows as asked for."""
    return render_template("page.html", doctor=DOCTOR, slots=SLOTS[:rows], token="0" * 91)


def rows_for(size: int) -> int:
    """Return how many rows make a page of about `size` bytes."""
    with app.test_request_context():
        empty, ten = len(page(0).encode()), len(page(10).encode())
    return max(1, min(len(SLOTS), round((size - empty) / ((ten - empty) / 10))))


queue = Celery("floor", broker=os.environ.get("REDIS_URL", "memory://"))
queue.conf.update(
    task_default_queue="floor",
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@queue.task(name="noop")
def noop(_number: int) -> None:
    """Do nothing."""
