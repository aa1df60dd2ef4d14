"""Several steps as generators, written once for requests and aiohttp.

A flow yields what it needs done and is sent the outcome:

======================= ============================================= ===============================================
it yields               the transport                                 and sends
======================= ============================================= ===============================================
:class:`Request`        sends the request                             a :class:`Response`, or throws
                                                                      :class:`TransportError`
:class:`Sleep`          waits                                         None
:class:`MaskSecret`     masks it in every log                         None
:class:`Exclusive`      runs a flow while no other with that key runs what the flow returned, or throws what it raised
:class:`Offload`        runs a function outside the event loop        what the function returned, or throws it
:class:`ReadConnection` reads the Airflow connection again            the settings, or throws what it raised
======================= ============================================= ===============================================

So retry, renewal of the token and waiting can be tested by ``send`` and ``throw``, without sockets and sleeping.
"""

from __future__ import annotations

from mkw_airflow_provider.client.session import ApiSession, Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep

__all__ = ["ApiSession", "Exclusive", "Flow", "MaskSecret", "Offload", "ReadConnection", "Sleep"]
