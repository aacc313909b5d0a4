"""Gateway control: routes, upstreams, consumers and tokens as events, and who may change them."""

from engines.api_gateway.access import AuthenticationToken, Role
from engines.api_gateway.gateway import AdvancedAPIGateway
from engines.api_gateway.route import APIRequest, APIRoute, RateLimitRule

advanced_api_gateway = AdvancedAPIGateway()

__all__ = [
    "APIRequest",
    "APIRoute",
    "AdvancedAPIGateway",
    "AuthenticationToken",
    "RateLimitRule",
    "Role",
    "advanced_api_gateway",
]
