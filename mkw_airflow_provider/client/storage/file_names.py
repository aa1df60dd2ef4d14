"""Names of downloaded files: they stay in their folder, and no two files of a build share one on any file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterable

from mkw_airflow_provider.client.known_secrets import remove_secrets

#: Longest file name, in bytes: what common file systems take, less the room for a number.
MAX_NAME = 200
#: An id of more digits is not written into a name.
MAX_ID = 20
#: A suffix that is longer, in bytes, is cut like the rest of the name.
MAX_SUFFIX = 20
#: Not allowed in names on some file system, or with a meaning of their own to fsspec.
FORBIDDEN = frozenset('<>:"|?*[]')
#: Windows takes these for devices, whatever follows a dot.
DEVICES = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)


def comparable(name: str) -> str:
    """Return what is equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def short_id(number: int) -> str:
    """Return an id as part of a file name; one that would fill the name as part of its SHA-256."""
    digits = str(number)
    return digits if len(digits) <= MAX_ID else hashlib.sha256(digits.encode()).hexdigest()[:MAX_ID]


def safe_name(name: str | None, download_id: int, taken: Collection[str] = ()) -> str:
    """Return a file name that cannot leave its folder, made of the one that the API gives.

    :param name: as the API gives it; None or what leaves nothing behind becomes ``download-<id>``.
    :param taken: names of other files in the folder, made :func:`comparable`; then the id goes before the suffix.
    """
    # A name may repeat what the server was sent, and it becomes a part of logs and XComs.
    last = re.split(r"[/\\]", remove_secrets(name or ""))[-1]
    printable = unicodedata.normalize("NFC", "".join(character for character in last if character.isprintable()))
    clean = "".join("_" if character in FORBIDDEN else character for character in printable)
    # A hidden file is easily overlooked, and temporary files are hidden.
    clean = clean.strip(" .") or f"download-{short_id(download_id)}"
    if DEVICES.fullmatch(clean.partition(".")[0].rstrip()):
        clean = f"_{clean}"
    stem, suffix = os.path.splitext(clean)
    if len(suffix.encode()) > MAX_SUFFIX:
        stem, suffix = clean, ""
    stem = stem.encode()[: MAX_NAME - len(suffix.encode())].decode(errors="ignore").rstrip(" .")
    while comparable(f"{stem}{suffix}") in taken:
        stem = f"{stem}-{short_id(download_id)}"
    return stem + suffix


def final_names(names: Iterable[tuple[int, str | None]], reserved: str) -> dict[int, str]:
    """Return the file name of each download.

    :param names: ids and names as the API gives them, always in the same order.
    :param reserved: a name that no download gets.
    """
    taken = {comparable(reserved)}
    result: dict[int, str] = {}
    for download_id, name in names:
        result[download_id] = safe_name(name, download_id, taken)
        taken.add(comparable(result[download_id]))
    return result
