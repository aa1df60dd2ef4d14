from __future__ import annotations

import threading

from mkw_airflow_provider.hooks.cached import cached_property


class Slow:
    def __init__(self, other=None):
        self.other = other
        self.computed = 0

    @cached_property
    def value(self):
        """The value."""
        self.computed += 1
        if self.other is not None:
            # A lock of the class would be held here.
            thread = threading.Thread(target=lambda: self.other.value, daemon=True)
            thread.start()
            thread.join(60)
            assert not thread.is_alive()
        return self.computed


def test_value_is_computed_once_without_a_lock():
    slow = Slow(Slow())
    assert (slow.value, slow.value, slow.computed, slow.other.computed) == (1, 1, 1, 1)
    assert Slow.value.__doc__ == "The value."
