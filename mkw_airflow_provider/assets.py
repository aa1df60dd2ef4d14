"""Assets for the results of a pattern: ``metakraftwerk://<host>/<project>/<pattern>``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote

from mkw_airflow_provider.version_compat import make_asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

__all__ = ["create_asset", "pattern_asset", "sanitize_uri", "to_openlineage_dataset"]

SCHEME = "metakraftwerk"
DEFAULT_HOST = "app.metakraftwerk.com"


def pattern_asset(project: str, pattern: str, *, host: str = DEFAULT_HOST) -> Asset:
    """Return the asset that stands for the deployed results of one pattern of a project.

    Pass it as ``outlets`` of a deployment task, and as ``schedule`` of the DAG that uses the deployed code.

    :param project: name of the project.
    :param pattern: name of the pattern.
    :param host: the MetaKraftwerk server, as in the connection.
    :return: an asset whose name is its normalized URI.
    :raises ValueError: if project or pattern is empty.
    """
    parts = [part.strip() for part in (project, pattern)]
    if not all(parts):
        raise ValueError("an asset of MetaKraftwerk needs the names of a project and of a pattern")
    names = "/".join(quote(part, safe="") for part in parts)
    # As in a connection, a URL or a bare IPv6 address works, too.
    host = host.strip().lower().rpartition("://")[2].rstrip("/")
    host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
    asset: Asset = make_asset(f"{SCHEME}://{host}/{names}")
    return asset


def create_asset(*, host: str = DEFAULT_HOST, project: str, pattern: str, extra: Any = None) -> Asset:
    """Return an asset from its parts: the factory that the provider metadata names."""
    asset = pattern_asset(project, pattern, host=host)
    if extra:
        # Before Airflow 3, an asset without extra has none at all.
        asset.extra = {**(asset.extra or {}), **extra}
    return asset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Normalize a URI of this scheme: lower-case host, quoted names, no query.

    :raises ValueError: if it does not name a host, a project and a pattern. Airflow shows this as an import error.
    """
    parts = [quote(unquote(part), safe="") for part in uri.path.split("/") if part]
    if not uri.hostname or len(parts) != 2:
        raise ValueError(f"the URI of a MetaKraftwerk asset must be {SCHEME}://<host>/<project>/<pattern>")
    host = f"[{uri.hostname}]" if ":" in uri.hostname else uri.hostname
    host = host if uri.port is None else f"{host}:{uri.port}"
    return SplitResult(uri.scheme, host, f"/{parts[0]}/{parts[1]}", "", "")


def to_openlineage_dataset(asset: Asset, lineage_context: Any) -> Any:
    """Return the OpenLineage dataset of an asset. Called only where the OpenLineage provider is installed."""
    # The provider that has this module is optional.
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace, _, name = str(asset.uri).removeprefix(f"{SCHEME}://").partition("/")
    return Dataset(namespace=f"{SCHEME}://{namespace}", name=name)
