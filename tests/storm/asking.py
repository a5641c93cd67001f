"""One operation: a request asked until an answer says what came of it, judged, and written into the history."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from tests.storm.history import FAIL, OK, UNKNOWN, History
from tests.storm.town import Browser
from tests.storm.wire import Answer, Lost, Wire

PATIENCE = 45.0
_REF = re.compile(r"/(?:book|appointments)/([0-9]+-[0-9a-f]{32})")
_NEW_HOLD = re.compile(rb'action="/book/([0-9]+-[0-9a-f]{32})"')

_LATER = re.compile(rb'data-say="[^"]*"')
"""What a page may say aloud later, as its hold runs out: it is not what it says now."""

SENTENCES = {
    "刚被约走了": "full",
    "还没有放号": "early",
    "已经有保留中的时间": "holds",
    "保留时间已到": "expired",
    "同一班次只能约一次": "twice",
    "同一科室一天只能约": "department",
    "一天最多": "day",
    "两个时间重叠了": "overlap",
    "停诊了": "stopped",
    "已经停止预约": "closed",
    "新时间和原来的时间一样": "same",
    "和之前同一编号的提交内容不同": "other body",
    "已过改约时间": "late",
    "它的状态是": "not active",
    "已被约走": "below sold",
    "刚刚又有人约了": "below sold",
}
_SENTENCES = {sentence.encode(): said for sentence, said in SENTENCES.items()}

Judge = Callable[[Answer], tuple[str, str, str]]
"""Returns (result, what was said, the appointment's name or "")."""


def ref_in(location: str) -> str:
    """Return the appointment's name in an address, or ""."""
    found = _REF.search(location)
    return found[1] if found else ""


def refusal(answer: Answer) -> str:
    """Return what a refusal says, in one word; otherwise its status."""
    body = _LATER.sub(b"", answer.body)
    return next((said for sentence, said in _SENTENCES.items() if sentence in body), str(answer.status))


def held(answer: Answer) -> tuple[str, str, str]:
    """Judge a hold."""
    where = answer.location
    if answer.status == 303 and "/book/" in where:
        return OK, "held", ref_in(where)
    if answer.status == 303 and where.startswith("/login"):
        return FAIL, "sign in", ""
    return FAIL, refusal(answer), ""


def confirmed(answer: Answer) -> tuple[str, str, str]:
    """Judge a confirmation. A late one may have taken the same time anew: then its name is that of the new hold."""
    where = answer.location
    if answer.status == 303 and "done=booked" in where:
        return OK, "booked", ref_in(where)
    if answer.status == 303 and "/me/appointments/" in where:
        return FAIL, "already", ref_in(where)
    said = refusal(answer)
    again = _NEW_HOLD.search(answer.body) if said == "expired" else None
    return FAIL, said, again[1].decode() if again else ""


def moved(answer: Answer) -> tuple[str, str, str]:
    """Judge a move."""
    if answer.status == 303 and "done=moved" in answer.location:
        return OK, "moved", ref_in(answer.location)
    return FAIL, refusal(answer), ""


def led_on(answer: Answer) -> tuple[str, str, str]:
    """Judge what answers a success by leading on (cancel, release, extend, the desk's verbs)."""
    if answer.status == 303 and "/login" not in answer.location:
        return OK, "done", ref_in(answer.location)
    return FAIL, refusal(answer), ""


def shown(answer: Answer) -> tuple[str, str, str]:
    """Judge a page that is read."""
    return (OK, "shown", "") if answer.status == 200 else (FAIL, str(answer.status), "")


class Asking:
    """Asks for the crowd. For `patience` seconds an unknown is asked again, the same bytes."""

    def __init__(self, history: History, patience: float = PATIENCE) -> None:
        self.history, self.patience = history, patience
        self.unresolved: list[tuple[bytes, Judge, dict[str, Any]]] = []

    async def one(
        self, wire: Wire, who: Browser, op: str, raw: bytes, judge: Judge, **about: Any
    ) -> tuple[str, str, str]:
        """Ask, and ask again while it is not known what came of it; write it down; return what was judged."""
        began = sent = time.time()
        unknown = 0
        result, said, name = UNKNOWN, "", ""
        status = 0
        while True:
            try:
                answer = await wire.ask(raw)
            except Lost as lost:
                said, status = str(lost)[:40], 0
            else:
                status = answer.status
                self._note(answer, op, raw)
                if status < 500:
                    result, said, name = judge(answer)
                    break
                said = str(status)
            unknown += 1
            if time.time() - began > self.patience:
                break
            await asyncio.sleep(min(2.0, 0.1 * 2**unknown))
            sent = time.time()
        record = {"op": op, "who": who.number, "result": result, "said": said, "status": status}
        record |= {"at": round(began, 6), "end": round(time.time(), 6), "appointment": name, **about}
        if unknown:
            record |= {"unknown": unknown, "sent": round(sent, 6)}
        if result == UNKNOWN:
            self.unresolved.append((raw, judge, record))
        else:
            self.history.write(**record)
        return result, said, name

    def _note(self, answer: Answer, op: str, raw: bytes) -> None:
        if answer.status == 500:
            line = raw.split(b"\r\n", 1)[0].decode()
            self.history.five_hundreds.append({"op": op, "asked": line, "at": time.time()})
        if answer.status == 503 and not answer.says_when_to_retry:
            self.history.bare_503 += 1

    async def resolve(self, wire: Wire, tries: int = 10) -> None:
        """After the storm: ask once more for whatever is still unknown, each at most `tries` times."""
        left, self.unresolved = self.unresolved, []
        for raw, judge, record in left:
            for _ in range(tries):
                try:
                    answer = await wire.ask(raw)
                except Lost:
                    await asyncio.sleep(0.5)
                    continue
                self._note(answer, record["op"], raw)
                if answer.status < 500:
                    record["result"], record["said"], record["appointment"] = judge(answer)
                    record |= {"status": answer.status, "end": round(time.time(), 6)}
                    break
                await asyncio.sleep(0.5)
            self.history.write(**record)
