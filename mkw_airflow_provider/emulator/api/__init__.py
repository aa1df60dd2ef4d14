"""The REST API and the control plane: routes, request bodies, response models, and the middleware in front of them."""

from __future__ import annotations
