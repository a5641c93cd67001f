"""Check a published draw from its file alone: seed, list, order and result, each in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from booking.appointments.draw_rules import (
    ALGORITHM,
    FORMAT,
    Turn,
    commitment_of,
    list_digest,
    order,
    replay,
)


@dataclass
class Checked:
    """What a check found: a line for every step, and whether all of them hold."""

    lines: list[tuple[bool, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.lines) and all(fine for fine, _ in self.lines)

    def say(self, fine: bool, right: str, wrong: str) -> bool:
        self.lines.append((fine, right if fine else wrong))
        return fine


def check(file: Any, commitment: str = "") -> Checked:
    """Replay a published draw; `commitment` is the one somebody wrote down before the draw, when there is one.

    Never raises for what a file may contain: a file that cannot be read as a draw does not pass.
    """
    done = Checked()
    try:
        _check(file, commitment.strip().lower(), done)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        done.say(False, "", "文件内容不完整或被改过，无法重算")
    return done


def _check(file: Mapping[str, Any], commitment: str, done: Checked) -> None:
    known = file["format"] == FORMAT and file["algorithm"] == ALGORITHM
    if not done.say(known, f"文件格式 {FORMAT}，算法 {ALGORITHM}", "不认识的文件格式或算法"):
        return
    over = file["state"] == "drawn" and bool(file["seed"])
    if not done.say(over, f"抽签已于 {file['drawn_at']} 完成", "抽签还没有完成，种子还没有公布"):
        return
    seed = str(file["seed"])
    done.say(
        commitment_of(seed) == file["commitment"],
        "种子与报名开始时公布的承诺一致",
        "种子与公布的承诺不一致：种子被换过",
    )
    if commitment:
        done.say(
            commitment == file["commitment"],
            "承诺与你事先记下的一致",
            "承诺与你事先记下的不一致",
        )
    entries = list(file["entries"])
    tokens = [str(entry["token"]) for entry in entries]
    done.say(
        len(set(tokens)) == len(tokens) and list_digest(tokens) == file["list_digest"],
        f"名单完整：{len(tokens)} 个抽签号，没有增减",
        "名单与截止时的摘要不一致：有抽签号被增加、删除或改动",
    )
    turns = order(seed, tokens)
    ranks = {str(entry["token"]): entry["rank"] for entry in entries}
    done.say(
        [ranks[token] for token in turns] == list(range(1, len(turns) + 1)),
        "先后顺序与种子算出的一致",
        "先后顺序与种子算出的不一致",
    )
    by_token = {
        str(entry["token"]): Turn(
            str(entry["token"]),
            tuple(entry["wishes"]),
            tuple(entry["refused"]),
            str(entry["result"]),
        )
        for entry in entries
    }
    capacity = {str(slot): int(count) for slot, count in file["capacity"].items()}
    got = replay(capacity, [by_token[token] for token in turns])
    differing = [token for token in turns if got[token] != by_token[token].result]
    given = Counter(result for result in got.values() if result)
    closed = sum(bool(turn.refused) for turn in by_token.values())
    done.say(
        not differing,
        f"结果与重算的一致：{sum(capacity.values())} 个号，{sum(given.values())} 人抽中"
        + (f"，{closed} 人有的时间因本人规则（如时间冲突）不能约" if closed else ""),
        f"结果与重算的不一致，例如抽签号 {differing[0] if differing else ''}",
    )
