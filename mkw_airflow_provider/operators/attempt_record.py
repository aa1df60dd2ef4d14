"""What the task state store of Airflow 3.3 and later remembers of the attempts of a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

from typing_extensions import Self

if TYPE_CHECKING:
    from mkw_airflow_provider.operators.attempt import Attempt
    from mkw_airflow_provider.version_compat import TaskStateStore

State: TypeAlias = Literal["sending", "started", "done"]

R = TypeVar("R", bound="AttemptRecord")


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """A record of the newest request of a task instance that changes state.

    A field that may hold long ids has a ``read`` in its metadata, which returns them from their stored form.

    :param state: ``sending`` before the POST, ``started`` after its response, ``done`` right before the task returns.
    :param max_tries: of the attempt that wrote this.
    :param clear_number: of the DAG run at that time.
    :param digest: of what was asked for.
    """

    key: ClassVar[str]

    state: State
    max_tries: int
    clear_number: int | None
    digest: str

    @classmethod
    def load(cls, store: TaskStateStore) -> Self | None:
        """Return the record of a task; None if it has none that can be read."""
        value = store.get(cls.key)
        if not isinstance(value, dict):
            return None
        # Another version may have written fields that this one does not know, or none for those with a default.
        try:
            return cls(
                **{
                    field.name: field.metadata.get("read", _unchanged)(value[field.name])
                    for field in fields(cls)
                    if field.name in value
                }
            )
        except TypeError:
            return None

    def save(self, store: TaskStateStore) -> None:
        """Replace the record of a task."""
        store.set(self.key, asdict(self))

    def was_cleared_before(self, attempt: Attempt) -> bool:
        """Whether the task was cleared between this record and an attempt.

        Neither number is enough: with lowered ``retries``, clearing leaves ``max_tries`` as it was; and clearing any
        task of the run raises ``clear_number``, which counts only for a task that had done its work.
        """
        if self.max_tries != attempt.max_tries:
            return True
        return self.state == "done" and self.clear_number != attempt.clear_number


def _unchanged(value: Any) -> Any:
    return value


def restore(store: TaskStateStore, key: str, record: AttemptRecord | None) -> None:
    """Undo what was recorded of a request that did nothing, so that the next attempt decides in the same way."""
    if record is None:
        store.delete(key)
    else:
        record.save(store)
