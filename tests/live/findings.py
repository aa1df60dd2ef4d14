"""Facts about the service that its documentation leaves open, and what a check of one finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mkw_airflow_provider.client.request import TransportError
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import MetaKraftwerkError
from tests.live.options import VARIABLES, variable

if TYPE_CHECKING:
    from tests.live.account import Account

MAX_TEXT = 300

TEST_BUILD = ("project", "instance")
TEST_DEPLOYMENT = (*TEST_BUILD, "deployment")


class Verdict(str, Enum):
    """What the client makes of what was seen."""

    GREEN = "green"
    TOLERATED = "tolerated"
    RED = "red"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    :param seen: what the service did.
    :param effect: what the client does then, where the service does not do what is expected.
    """

    verdict: Verdict
    seen: str
    effect: str = ""


class NotCheckedError(Exception):
    """A check cannot tell; the message says why."""


def green(seen: object) -> Finding:
    """Return the finding for a service that does what is expected."""
    return Finding(Verdict.GREEN, str(seen))


def tolerated(seen: object, effect: str) -> Finding:
    """Return the finding for a difference that the client handles."""
    return Finding(Verdict.TOLERATED, str(seen), effect)


def red(seen: object, effect: str) -> Finding:
    """Return the finding for a difference that breaks the client."""
    return Finding(Verdict.RED, str(seen), effect)


def expect(condition: bool, seen: object, effect: str) -> Finding:
    """Return a green finding if a condition holds; else a tolerated one, with its effect."""
    return green(seen) if condition else tolerated(seen, effect)


Check = Callable[["Account"], Finding]


@dataclass(frozen=True)
class Fact:
    """One fact, described by the docstring of the function that checks it.

    :param section: where the project's notes about the API have it.
    :param needs: names of the options without which it cannot be checked.
    """

    name: str
    section: str
    subject: str
    expected: str
    needs: tuple[str, ...]
    function: Check

    def check(self, account: Account) -> Finding:
        """Check the fact. An error of the client, or a response of an odd form, is a red finding."""
        missing = [variable(name) for name in self.needs if getattr(account.options, name) is None]
        if missing:
            return Finding(Verdict.NOT_CHECKED, f"needs {' and '.join(missing)}")
        try:
            found = self.function(account)
        except NotCheckedError as error:
            found = Finding(Verdict.NOT_CHECKED, str(error))
        except (MetaKraftwerkError, TransportError) as error:
            found = red(f"{type(error).__name__}: {error}", "the client raises this error")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            found = red(f"{type(error).__name__}: {error}", "a response has another form than this check expects")
        # Texts of the server may repeat a secret.
        return Finding(found.verdict, foreign_text(found.seen, MAX_TEXT), foreign_text(found.effect, MAX_TEXT))


FACTS: list[Fact] = []


def fact(*needs: str) -> Callable[[Check], Check]:
    """Register a function whose docstring reads ``§<section> <subject>: <expected>.`` as a fact.

    :param needs: names of the options without which it cannot be checked.
    """
    assert set(needs) <= set(VARIABLES)

    def register(function: Check) -> Check:
        match = re.fullmatch(r"§([\d., ]+) (.+?): (.+)\.", function.__doc__ or "")
        assert match, f"{function.__name__} has no docstring of the form '§1.3 Subject: expected.'"
        FACTS.append(Fact(function.__name__, match[1], match[2], match[3], needs, function))
        return function

    return register
