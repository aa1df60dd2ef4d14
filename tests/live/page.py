"""The tables of docs/evidence/live.md, made from facts, variables and switches: `python -m tests.live.page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.live.all_facts import ALL
from tests.live.findings import TEST_BUILD, Fact, Verdict
from tests.live.options import VARIABLES, variable
from tests.live.switches import CASES


def variable_rows() -> list[str]:
    """Return the rows of the table of variables."""
    return [f"| `{variable(name)}` | {meaning} |" for name, meaning in VARIABLES.items()]


def fact_rows() -> list[str]:
    """Return the rows of the table of facts."""
    return [
        f"| {fact.section} | {_code(fact.subject)} | {_code(fact.expected)} | {_needs(fact)} | "
        f"{'<br>'.join(_turned(fact.name))} |"
        for fact in ALL
    ]


def _code(text: str) -> str:
    """Keep Markdown from reading a name as emphasis or as a mention."""
    return " ".join(f"`{word}`" if any(sign in word for sign in "@/_") else word for word in text.split())


def _needs(fact: Fact) -> str:
    own = [f"`{name.upper()}`" for name in fact.needs if name not in TEST_BUILD]
    return ", ".join((["a test build"] if set(TEST_BUILD) <= set(fact.needs) else []) + own)


def _turned(name: str) -> Iterator[str]:
    for switches, verdicts in CASES:
        if verdicts.get(name, Verdict.GREEN) is not Verdict.GREEN:
            settings = " ".join(f"{switch}={_value(value)}" for switch, value in switches.items())
            yield f"`{settings}`: {verdicts[name].value}"


def _value(value: object) -> str:
    """Return a value of a switch as a command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write("\n".join([*variable_rows(), "", *fact_rows(), ""]))
