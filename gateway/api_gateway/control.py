"""What the endpoints of the control plane's API work on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from engines.api_gateway import AdvancedAPIGateway

if TYPE_CHECKING:
    from gateway.data_plane import DataPlane


@dataclass(frozen=True)
class Control:
    """Be the control plane and the data plane of one worker."""

    engine: AdvancedAPIGateway
    plane: DataPlane


Endpoint = Callable[[Control, Request], Awaitable[Response]]
