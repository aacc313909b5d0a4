"""An ASGI application that runs inside the gateway's process: the `hello` route of quickstart.toml.

Any ASGI application will do; this one is Starlette's.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    """Greet whom the path names."""
    return JSONResponse({"message": f"Hello, {request.path_params['name']}!", "seen_from": request.client})


app = Starlette(routes=[Route("/hello/{name}", hello)])
