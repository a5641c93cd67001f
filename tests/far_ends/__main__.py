"""`python -m tests.far_ends FOLDER`: gateway, Alibaba Cloud's stand-in and mail server in a process of their own.

Their ledgers are `FOLDER/{gateway,alibaba,mail}.jsonl`, where they listen stands in `FOLDER/far_ends.json`. Each line of JSON on
standard input changes one: {"who": "gateway", "mode": "500", "share": 0.5}; names with a dot reach into its callbacks. They
end with their input.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from tests.far_ends import Gateway, Ledger, Mailbox, mail_server, sms_gateway
from tests.servers import free_port


def change(end: Gateway | Mailbox, wanted: dict[str, Any]) -> None:
    """Set what a line asks for."""
    for name, value in wanted.items():
        whole: Any = end
        *path, last = name.split(".")
        for part in path:
            whole = getattr(whole, part)
        setattr(whole, last, value)


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    with contextlib.ExitStack() as stack:
        ends: dict[str, Gateway | Mailbox] = {}
        for name in ("gateway", "alibaba"):
            gateway = stack.enter_context(sms_gateway(Ledger(folder / f"{name}.jsonl"), seed=len(ends) + 1))
            gateway.keeps_calls = False
            ends[name] = gateway
        ends["alibaba"].honours = False  # type: ignore[union-attr]  # SendSms knows no repeated OutId
        mail = stack.enter_context(mail_server(free_port(), ledger=Ledger(folder / "mail.jsonl")))
        mail.keeps_letters = False
        ends["mail"] = mail
        partial = folder / "far_ends.partial"
        partial.write_text(json.dumps({name: end.url for name, end in ends.items()}))
        partial.rename(folder / "far_ends.json")
        for line in sys.stdin:
            wanted = json.loads(line)
            change(ends[wanted.pop("who")], wanted)
            state = {name: end.callbacks.open for name, end in ends.items() if isinstance(end, Gateway)}
            print(json.dumps(state), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
