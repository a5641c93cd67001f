"""Take each guard away in a copy of the tree and demand that its tests turn red: `python -m tests.mutants [NAME…]`.

Stops after --minutes (15) and goes on where it stopped when called again on the same tree; --again forgets what it knew.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from tests import servers
from tests.mutants import pages
from tests.mutants.mutant import Mutant
from tests.mutants.running import ROOT, Ledger, clock, copy_to, red_tests, survivors
from tests.mutants.table import MUTANTS

AT_ONCE = os.cpu_count() or 1


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", help="only mutants whose name contains one of these")
    words.add_argument("--minutes", type=float, default=15)
    words.add_argument("--again", action="store_true", help="run also what is known")
    words.add_argument(
        "--write", action="store_true", help="write the pages of the documentation, run nothing"
    )
    asked = words.parse_args()
    if asked.write:
        pages.write()
        return 0
    chosen = [one for one in MUTANTS if not asked.names or any(name in one.name for name in asked.names)]
    ledger = Ledger(ROOT / "instance" / "mutants.json")
    servers.begin_run()
    try:
        return run(chosen, ledger, asked.minutes, asked.again)
    finally:
        servers.end_run()


def run(chosen: list, ledger: Ledger, minutes: float, again: bool) -> int:
    """Run the mutants that are not known yet; return the exit status."""
    try:
        address = servers.postgresql()
    except servers.NotHere as problem:
        print(f"only on SQLite: {problem}")
        address = ""
    began, alive, waiting = clock(), [], 0
    todo = [one for one in chosen if again or ledger.get(one) is None]
    if todo:
        wrong = baseline(todo, address)
        if wrong:
            print("without any mutant these are not green, so nothing would be proved:", *wrong, sep="\n  ")
            return 2
    names, keeping = SimpleQueue[str](), Lock()
    for number in range(AT_ONCE):
        names.put(f"mutant{number}")

    def judged(mutant: Mutant) -> tuple[list[str] | None, float]:
        known, started = None if mutant in todo else ledger.get(mutant), clock()
        if known is None and started - began <= minutes * 60:
            name = names.get()
            try:
                known = survivors(
                    mutant, database_url=address, run_folder=str(servers.run_folder()), name=name
                )
            finally:
                names.put(name)
            with keeping:
                ledger.keep(mutant, known)
        return known, clock() - started

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, (mutant, (known, took)) in enumerate(
            zip(chosen, pool.map(judged, chosen), strict=True), 1
        ):
            if known is None:
                waiting += 1
                continue
            said = "killed  " if not known else "SURVIVED"
            print(f"{number:3d}/{len(chosen)} {said} {took:5.1f} s  {mutant.name}", flush=True)
            for line in known:
                print(f"        {line}")
            alive += [mutant.name] if known else []
    print(
        f"{len(chosen) - len(alive) - waiting} killed, {len(alive)} survived, {waiting} not run (time was up)"
    )
    return 1 if alive or waiting else 0


def baseline(todo: list, address: str) -> list[str]:
    """Return the named tests that are not green on the tree as it is."""
    tests = {test for mutant in todo for test in mutant.tests}
    print(f"{len(todo)} mutants, first {len(tests)} tests on the tree as it is …", flush=True)
    with tempfile.TemporaryDirectory(prefix="booking-mutant-") as name:
        copy_to(Path(name))
        shared = str(servers.run_folder())
        said = red_tests(
            Path(name), tests, database_url=address, run_folder=shared, seconds=600, at_once=AT_ONCE
        )
    return [f"{test} is {state}" for test, state in said.items() if state != "green"]


if __name__ == "__main__":
    sys.exit(main())
