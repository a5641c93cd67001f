"""Which step comes next: one of all, as often as it says; the machine's own rules would leave out half of them each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

Step = TypeVar("Step", bound=Callable[..., None])


def step(times: int, needs: str = "", **arguments: st.SearchStrategy[Any]) -> Callable[[Step], Step]:
    """Mark a method as a step that comes so often, with these arguments; without `needs` in the clinic nothing happens."""

    def mark(method: Step) -> Step:
        method.step = times, needs, arguments  # type: ignore[attr-defined]
        return method

    return mark


def with_steps(machine: type[Any], **more: Any) -> type[Any]:
    """Return the machine with a rule that does one of its marked steps, and `more` of its attributes set."""
    choices = []
    for name in sorted(dir(machine)):
        times, needs, arguments = getattr(getattr(machine, name), "step", (0, "", {}))
        for _ in range(times):
            choices.append(st.tuples(st.just(name), st.just(needs), st.fixed_dictionaries(arguments)))

    @rule(what=st.one_of(choices))
    def do(self: Any, what: tuple[str, str, dict[str, Any]]) -> None:
        name, needs, words = what
        self.done += 1
        if not needs or getattr(self.clinic, needs):
            getattr(self, name)(**words)

    return type("Both", (machine,), {"do": do, **more})
