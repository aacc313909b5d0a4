"""The keys by which signed tokens are verified.

The rule it guards: a key is used for the algorithms of its own kind alone, so that no public key is ever
taken for a secret; nothing that a token says about where its key is, is believed. RFC 7515 to 7518, 8037.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from core.errors import AgoraError

HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}  # least bytes of a secret; RFC 7518, section 3.2
RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES = {
    "secp256r1": frozenset({"ES256"}),
    "secp384r1": frozenset({"ES384"}),
    "secp521r1": frozenset({"ES512"}),
}
EDWARDS = frozenset({"EdDSA"})
SHORTEST_MODULUS = 2048  # bits; RFC 7518, section 3.3


class TokenKeyInvalid(AgoraError):
    """Report a key that tokens cannot be verified by."""

    slug = "token-key-invalid"
    title = "The key cannot be used"


@dataclass(frozen=True, kw_only=True)
class TokenKey:
    """Be one key, with the algorithms that it is for."""

    material: Any  # bytes of a secret, or a public key of the package cryptography
    algorithms: frozenset[str]
    kid: str | None = None


def secret_key(secret: str, kid: str | None = None) -> TokenKey:
    """Return the key of a shared secret; raise TokenKeyInvalid if it is too short or a public key's text."""
    material = secret.encode()
    if secret.lstrip().startswith("-----BEGIN"):
        raise TokenKeyInvalid("is a PEM file, not a secret; give it as public_key")
    return _secret(material, kid)


def pem_key(text: str, kid: str | None = None) -> TokenKey:
    """Return the key of a PEM public key or certificate; raise TokenKeyInvalid."""
    data = text.encode()
    try:
        if b"BEGIN CERTIFICATE" in data:
            return _public(load_pem_x509_certificate(data).public_key(), kid)
        return _public(load_pem_public_key(data), kid)
    except ValueError as error:
        raise TokenKeyInvalid("is no PEM public key or certificate") from error


def jwk_keys(text: str | bytes, *, secrets: bool) -> list[TokenKey]:
    """Return the keys of a JWK set, or of one JWK; raise TokenKeyInvalid if there is none to use.

    secrets: whether symmetric keys are taken; never from a URL. Keys of unknown kinds are left out (RFC 7517,
    section 5).
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TokenKeyInvalid("is not JSON") from error
    items = read.get("keys", [read]) if isinstance(read, dict) else None
    if not isinstance(items, list):
        raise TokenKeyInvalid('is no JWK set: {"keys": [...]}')
    found = [key for key in (_jwk(item, secrets) for item in items) if key is not None]
    if not found:
        raise TokenKeyInvalid("has no key to verify signatures by")
    return found


def _jwk(item: Any, secrets: bool) -> TokenKey | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    kid = item.get("kid")
    try:
        # NOTE: the algorithm named here only makes PyJWK build the key; its kind decides what it is for.
        material = jwt.PyJWK(
            {key: value for key, value in item.items() if key != "alg"} | _some_algorithm(item)
        ).key
        key = (
            _secret(bytes(material), None)
            if isinstance(material, bytes)
            else _public(_without_private(material), None)
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, TokenKeyInvalid):
        return None
    if isinstance(key.material, bytes) and not secrets:
        return None
    alg = item.get("alg")
    algorithms = key.algorithms & {alg} if isinstance(alg, str) else key.algorithms
    named = kid if isinstance(kid, str) else None
    return TokenKey(material=key.material, algorithms=algorithms, kid=named) if algorithms else None


def _some_algorithm(item: dict[str, Any]) -> dict[str, str]:
    by_kind = {"oct": "HS256", "RSA": "RS256", "OKP": "EdDSA"}
    by_curve = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
    return {"alg": by_kind.get(str(item.get("kty"))) or by_curve[str(item.get("crv"))]}


def _without_private(material: Any) -> Any:
    return material.public_key() if hasattr(material, "public_key") else material


def _secret(material: bytes, kid: str | None) -> TokenKey:
    """Return the key of a secret, for what it is long enough for."""
    algorithms = frozenset(name for name, least in HMAC.items() if len(material) >= least)
    if not algorithms:
        raise TokenKeyInvalid(f"has {len(material)} bytes; a secret has {min(HMAC.values())} at least")
    return TokenKey(material=material, algorithms=algorithms, kid=kid)


def _public(material: Any, kid: str | None) -> TokenKey:
    """Return the key of a public key, for what its kind is for."""
    if isinstance(material, rsa.RSAPublicKey):
        if material.key_size < SHORTEST_MODULUS:
            raise TokenKeyInvalid(f"has {material.key_size} bits; RSA keys have {SHORTEST_MODULUS} at least")
        return TokenKey(material=material, algorithms=RSA, kid=kid)
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name in CURVES:
        return TokenKey(material=material, algorithms=CURVES[material.curve.name], kid=kid)
    if isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return TokenKey(material=material, algorithms=EDWARDS, kid=kid)
    raise TokenKeyInvalid("is of a kind that signs no tokens; use RSA, EC (P-256, P-384, P-521) or Ed25519")


def candidates(keys: Iterable[TokenKey], algorithm: str, kid: str | None) -> list[TokenKey]:
    """Return the keys that a token of an algorithm and key id may be signed by.

    A token that names a key is held to keys of that name, and to keys without one.
    """
    fitting = [key for key in keys if algorithm in key.algorithms]
    return fitting if kid is None else [key for key in fitting if key.kid in (kid, None)]
