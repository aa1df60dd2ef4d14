"""Values that a server may send, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build

#: All of Unicode, with the lone surrogates that JSON can carry, and NUL.
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud83d\udc00"), max_size=20)
ANY_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400])
    | st.floats()
    | ANY_TEXT
)
ANY_JSON = st.recursive(
    ANY_SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4), max_leaves=12
)
_FIELDS = sorted(set(Build.__dataclass_fields__) - {"id", "status", "raw"})
#: A build whose documented fields hold anything, with others besides.
ANY_BUILD: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda required, documented, others: {**others, **documented, **required},
    st.fixed_dictionaries({"id": st.integers(), "status": st.sampled_from(["FINISHED", "FAILED", "CANCELED"])}),
    st.dictionaries(st.sampled_from(_FIELDS), ANY_JSON),
    st.dictionaries(ANY_TEXT, ANY_JSON, max_size=3),
)
