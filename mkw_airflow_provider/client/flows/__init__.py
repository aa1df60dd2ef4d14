"""Several steps as generators, written once for requests and aiohttp.

A flow yields what it needs done and is sent the outcome:

=============== ============================================= =====================================================
it yields       the transport                                 and sends
=============== ============================================= =====================================================
:class:`Request`   sends the request                             a :class:`Response`, or throws :class:`TransportError`
:class:`Sleep`  waits                                         None
:class:`MaskSecret` keeps it out of every log                     None
:class:`Exclusive`  runs a flow while no other of that key runs   what the flow returned, or throws what it raised
=============== ============================================= =====================================================

So retry, renewal of the token and waiting can be tested by ``send`` and ``throw``, with no socket and no sleeping.
"""

from __future__ import annotations

from mkw_airflow_provider.client.session import ApiSession, Exclusive, Flow, MaskSecret, Sleep

__all__ = ["ApiSession", "Exclusive", "Flow", "MaskSecret", "Sleep"]
