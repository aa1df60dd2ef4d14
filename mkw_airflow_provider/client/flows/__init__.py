"""Several steps as generators, written once for requests and aiohttp.

A flow yields what it needs done and is sent the outcome:

================ ============================================= ====================================================
it yields        the transport                                 and sends
================ ============================================= ====================================================
:class:`Call`    sends the request                             a :class:`Reply`, or throws :class:`TransportError`
:class:`Pause`   waits                                         None
:class:`Secret`  keeps it out of every log                     None
:class:`Alone`   runs a flow while no other of that key runs   what the flow returned, or throws what it raised
:class:`Offload` runs a function off the event loop            what the function returned, or throws what it raised
================ ============================================= ====================================================

So retry, renewal of the token and waiting can be tested by ``send`` and ``throw``, with no socket and no sleeping.
"""

from __future__ import annotations

from mkw_airflow_provider.client.flows.conversation import Alone, Conversation, Flow, Offload, Pause, Secret

__all__ = ["Alone", "Conversation", "Flow", "Offload", "Pause", "Secret"]
