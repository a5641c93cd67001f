"""Whether the carriers were told what we send: every text our sentences can become, against its description.

Limits: Alibaba Cloud, variables of 1–35 signs, each once in a text, none empty, 500 signs in all, no 【】 inside
(https://help.aliyun.com/document_detail/463270.htm, /2806243.html, /44335.html); Tencent Cloud, the same 500, two variables never
side by side, no links in variables, the length of a variable as its console shows, one-time codes of at most 6 digits
(https://cloud.tencent.com/document/product/382/39023).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from jinja2 import nodes

from booking.notices.approved import (
    Approved,
    Description,
    Template,
    Unreadable,
    Word,
    approved,
    described,
    wechat_templates,
)
from booking.notices.segments import segments_of
from booking.notices.short_text import CONSTANTS, LONGEST_HOST, Taken, link_host, take_apart

CARRIERS = ("alibaba", "tencent")
"""Those who send nothing but approved templates."""
SORTS = {
    "numberCaptcha": re.compile(r"\d{4,6}"),
    "phone_number2": re.compile(r"[0-9-]{3,15}"),
    "other_number2": re.compile(r"[A-Za-z0-9]{1,35}"),
    "others": re.compile(r"[^【】]{1,500}"),
}
"""What may stand in a place, by the names Alibaba Cloud gives to the sorts of variables."""
MOST_SIGNS = 500
LINKED = {"wish_offer": "/w/"}
"""Kinds of letters whose short message carries our link, and where it leads; what it says is complete without."""
BAD_SIGNS = set("【】「」『』〖〗★※→①②③☞✓¥")
SIGNATURE = re.compile(r"[0-9A-Za-z\u4e00-\u9fff]{2,12}")
_LINK = re.compile(
    r"https?://[^\s，。；、）]+|(?<![A-Za-z0-9.-])(?:[A-Za-z0-9-]+\.)+(?:cn|com|net|org|cc|me|link|top)\b[^\s，。；、）]*"
)
_PLACE = re.compile(r"\$\{([a-z_0-9]+)\}")


@dataclass(frozen=True)
class Variant:
    """One text that the sentences of `kind` can become: its name, as filed with examples, and filled with the longest."""

    kind: str
    name: str
    filed: str
    example: Taken
    longest: Taken


def kinds() -> list[str]:
    """Return every kind of letter that has a short message."""
    found = current_app.jinja_env.list_templates(filter_func=lambda name: name.endswith(".sms.txt"))
    return sorted(name.removeprefix("notices/").removesuffix(".sms.txt") for name in found)


def variants(kind: str, description: Description) -> list[Variant]:
    """Return every text of `kind`, with and without each of its optional parts. Raises KeyError for a word not described."""
    printed, asked = _words_of(kind)
    optional = sorted(asked)
    found: dict[str, Variant] = {}
    for chosen in product((False, True), repeat=len(optional)):
        there = {name for name, yes in zip(optional, chosen, strict=True) if yes}
        short, long = ({}, {}) if not printed else _fillings(kind, printed, set(optional), there, description)
        flags = {name: name in there for name in optional if name not in printed}
        example, longest = take_apart(kind, short | flags), take_apart(kind, long | flags)
        parts = "+".join(sorted(there & asked))
        name = f"{kind}.sms/{parts}" if parts else f"{kind}.sms"
        found.setdefault(example.filed, Variant(kind, name, example.filed, example, longest))
    return list(found.values())


def filing_problems(settings: Mapping[str, Any]) -> list[str]:
    """Return what keeps the switched-on carriers from sending our letters as they are now, one sentence each."""
    try:
        if settings["WECHAT_APP_ID"]:
            wechat_templates(settings["WECHAT_TEMPLATES"])
        if not set(CARRIERS) & set(settings["SMS_PROVIDERS"]):
            return []
        return problems(settings, described(), approved(settings))
    except Unreadable as problem:
        return [str(problem)]


def problems(settings: Mapping[str, Any], description: Description, filed: Approved | None) -> list[str]:
    """Return what keeps carriers of templates from sending our letters, one sentence each; needs an application context.

    With `filed` None the approved ids are not asked for (nothing is filed yet).
    """
    said = [*_about_signature(settings["SMS_SIGNATURE"]), *_about_host(link_host(settings))]
    described = {one.name: one for one in description.templates}
    seen: set[str] = set()
    for kind in kinds():
        try:
            found = variants(kind, description)
        except KeyError as missing:
            said.append(f"{kind}.sms.txt has the word {missing} that sms_templates.toml does not describe.")
            continue
        for one in found:
            seen.add(one.name)
            known = described.get(one.name)
            if known is None or known.text != one.filed:
                said.append(
                    f"{one.name}: the text has changed since it was described; file it again"
                    " (flask notices templates --write)."
                )
                continue
            said += _about(one, known, settings, description)
    said += [f"{name} is described, but no sentence becomes it." for name in described.keys() - seen]
    if filed is not None:
        said += _about_ids(settings, filed, sorted(seen))
    return said


def _about_signature(signature: str) -> Iterator[str]:
    if not signature:
        yield "SMS_SIGNATURE is missing; carriers send nothing without a signature."
    elif not SIGNATURE.fullmatch(signature):
        yield "SMS_SIGNATURE must be 2 to 12 Chinese characters, letters or digits, without 【】."


def _about_host(host: str) -> Iterator[str]:
    if len(host) > LONGEST_HOST:
        yield (
            f"PUBLIC_URL has an address of {len(host)} signs; the links of short messages have room for {LONGEST_HOST}."
        )


def _about(
    one: Variant, known: Template, settings: Mapping[str, Any], description: Description
) -> Iterator[str]:
    most = settings["SMS_LONGEST_VARIABLE"]
    for (name, example), (_, longest) in zip(one.example.variables, one.longest.variables, strict=True):
        if len(longest) > most:
            yield f"{one.name}: ${{{name}}} may have {len(longest)} signs, carriers take {most}."
        sort = _word(one.kind, name.rstrip("0123456789"), description).sort
        if sort not in SORTS:
            yield f"{one.name}: ${{{name}}} is of the unknown sort {sort}."
        elif not SORTS[sort].fullmatch(example):
            yield f"{one.name}: the example of ${{{name}}} is no {sort}."
    text = f"【{settings['SMS_SIGNATURE']}】{filled(one.filed, dict(one.longest.variables), settings)}"
    if segments_of(text) > known.segments:
        yield f"{one.name} can take {segments_of(text)} short messages, described are {known.segments}."
    if len(text) > MOST_SIGNS:
        yield f"{one.name} can have {len(text)} signs, carriers take {MOST_SIGNS}."
    fixed = _PLACE.sub("", filled(one.filed, {}, settings))
    if set(fixed) & BAD_SIGNS:
        yield f"{one.name} has signs that carriers refuse: {''.join(sorted(set(fixed) & BAD_SIGNS))}."
    if not fixed.strip("，。：（） "):
        yield f"{one.name} has no words of its own."
    own = urlsplit(settings["PUBLIC_URL"]).netloc
    links = _LINK.findall(fixed)
    leads = LINKED.get(one.kind.rpartition("/")[2])
    # with a blank on each side, or a telephone takes the sentence for a part of it
    if leads and f" {{host}}{leads}${{link}} " not in one.filed:
        yield f"{one.name} lacks its link: {{{{ host }}}}{leads}{{{{ link }}}}, with a blank on each side."
    if len(links) > 1 or any(link.rpartition("://")[2].partition("/")[0] != own for link in links):
        yield f"{one.name} has a link; one short link to {own} is all a letter may have."


def _about_ids(settings: Mapping[str, Any], filed: Approved, names: list[str]) -> Iterator[str]:
    for carrier in CARRIERS:
        if carrier not in settings["SMS_PROVIDERS"]:
            continue
        ids = filed.ids.get(carrier, {})
        missing = [name for name in names if not ids.get(name)]
        if missing:
            yield (
                f"SMS_TEMPLATE_IDS names no approved id of {carrier} for {len(missing)} of {len(names)} texts,"
                f" {missing[0]} among them."
            )


def filled(filed: str, values: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return a filed text with its constants, and with those places filled that `values` names."""
    text = filed.replace("{site}", settings["SITE_NAME"]).replace("{host}", link_host(settings))
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), text)


def _fillings(
    kind: str, printed: set[str], optional: set[str], there: set[str], description: Description
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words of one variant: as examples, and as long as they may be; an optional part that is not there is empty."""
    short, long = {}, {}
    for name in printed:
        if name in CONSTANTS:
            short[name] = long[name] = "x"
            continue
        word = _word(kind, name, description)
        gone = name in optional and name not in there
        short[name] = "" if gone else word.example
        long[name] = "" if gone else (word.example * (word.longest // len(word.example) + 1))[: word.longest]
    return short, long


def _word(kind: str, name: str, description: Description) -> Word:
    return description.word(kind, name) or description.words[name]


def _words_of(kind: str) -> tuple[set[str], set[str]]:
    """Return the words the sentences of `kind` print, and those they only ask about with `if`."""
    printed: set[str] = set()
    asked: set[str] = set()
    env = current_app.jinja_env

    def look(node: nodes.Node, printing: bool) -> None:
        if isinstance(node, nodes.Include) and isinstance(node.template, nodes.Const):
            look(env.parse(env.loader.get_source(env, node.template.value)[0]), printing)  # type: ignore[union-attr]
        elif isinstance(node, nodes.If | nodes.CondExpr):
            for inner in node.iter_child_nodes():
                look(inner, printing and inner is not node.test)
                if inner is node.test:
                    ask(inner)
        elif isinstance(node, nodes.For):
            raise ValueError(f"{kind}.sms.txt repeats a sentence: no carrier approves a text of any length")
        elif isinstance(node, nodes.Name):
            if printing and node.name != "_":
                printed.add(node.name)
        else:
            for inner in node.iter_child_nodes():
                look(inner, printing)

    def ask(test: nodes.Node) -> None:
        if any(True for _ in test.find_all((nodes.Compare, nodes.Call, nodes.Filter, nodes.Test))):
            raise ValueError(f"{kind}.sms.txt asks more of a word than whether it is there")
        asked.update(
            name.name for name in ([test] if isinstance(test, nodes.Name) else test.find_all(nodes.Name))
        )

    source = env.loader.get_source(env, f"notices/{kind}.sms.txt")[0]  # type: ignore[union-attr]
    look(env.parse(source), True)
    return printed, asked
