"""The jwt plugin: consumers known by a signed token."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from msgspec import Meta

from core._fast.message import Response
from core.authentication.authenticator import Authenticator, Found, challenged
from core.authentication.credential_place import CredentialPlace, Places
from core.authentication.identity import Identity
from core.authentication.key_set_url import KeySetUrl
from core.authentication.token_keys import TokenKey, TokenKeyInvalid, jwk_keys, pem_key, secret_key
from core.authentication.token_verifier import KeyUnknown, TokenRefused, TokenVerifier
from core.config import HeaderName
from core.decode import FieldInvalid
from core.errors import PluginInvalid, Problem
from core.exchange import Exchange
from core.pattern_text import PatternText
from core.plugin import PluginConfig
from core.secret import Secret
from core.site import Site
from core.table import Table
from core.units import Duration, Size

NO_KEYS = Problem(503, "token-keys-missing", "The issuer's keys cannot be had", "internal", True)
REFUSED = Problem(401, "token-refused", "The token does not hold")
BEARER = b"bearer "
Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


class KeySetAddress(PatternText):
    """Be the URL of a key set: https://, or http:// on this machine."""

    __slots__ = ()
    noun = "URL of a key set"
    pattern = r"^(https://[^\s]+|http://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?/[^\s]*)$(?!\n)"
    examples = ("https://issuer.example/.well-known/jwks.json",)
    wrong = "is no URL of a key set"
    right = "write https://..., or http:// with an address of this machine"


class KeyConfig(Table, frozen=True):
    """One key, or several of a JWK set; each may be written as env:NAME or file:PATH."""

    kid: Annotated[str | None, Meta(description="key id; a token that names another one is not tried")] = None
    secret: Annotated[Secret | None, Meta(description="shared secret of HS256, HS384, HS512")] = None
    public_key: Annotated[Secret | None, Meta(description="PEM public key or certificate")] = None
    jwks: Annotated[Secret | None, Meta(description="JWK set, or one JWK, as JSON")] = None

    def __post_init__(self) -> None:
        if [self.secret, self.public_key, self.jwks].count(None) != 2:
            raise FieldInvalid("is no key", "give exactly one of secret, public_key and jwks")


class Jwt(Authenticator):
    """Let in who sends a token that is signed by a known key and valid now; 401 otherwise.

    The algorithms are those of the keys, or fewer if ``algorithms`` says so; what a token says about its
    key is not believed. A token is verified once and remembered until it expires, until consumers change,
    or until its key set does.
    """

    class Config(PluginConfig, frozen=True):
        """Options of jwt."""

        keys: Annotated[tuple[KeyConfig, ...], Meta(description="keys that tokens are signed by")] = ()
        jwks_url: Annotated[
            KeySetAddress | None,
            Meta(description="where the issuer publishes its keys; fetched off the request path"),
        ] = None
        jwks_refresh: Annotated[Duration, Meta(description="how often they are fetched")] = Duration("5m")
        jwks_pause: Annotated[
            Duration, Meta(description="least time between two fetches because of an unknown key id")
        ] = Duration("10s")
        jwks_timeout: Annotated[Duration, Meta(description="longest time of a fetch")] = Duration("5s")
        algorithms: Annotated[
            tuple[Algorithm, ...], Meta(description="allowed ones; left out: all that the keys are for")
        ] = ()
        issuer: Annotated[tuple[str, ...], Meta(description="allowed values of `iss`; left out: any")] = ()
        audience: Annotated[
            tuple[str, ...],
            Meta(description="one of them must be in `aud`; left out: `aud` is not looked at"),
        ] = ()
        required: Annotated[tuple[str, ...], Meta(description="claims that a token must have")] = ("exp",)
        leeway: Annotated[Duration, Meta(description="how far clocks may be apart")] = Duration(0)
        places: Annotated[
            tuple[CredentialPlace, ...],
            Meta(min_length=1, description="where a token may be; Bearer is left off"),
        ] = (CredentialPlace("header:authorization"),)
        consumer_claim: Annotated[str, Meta(description="claim that names the consumer")] = "sub"
        groups_claim: Annotated[str, Meta(description="claim with groups: a list, or words in a string")] = (
            "groups"
        )
        known_consumers: Annotated[
            bool, Meta(description="let in consumers of the configuration alone; their groups are added")
        ] = False
        claim_headers: Annotated[
            dict[HeaderName, str], Meta(description="headers for the target, and the claims they tell")
        ] = {}  # noqa: RUF012 (a struct copies it)
        hide: Annotated[bool, Meta(description="keep the token from the target")] = False
        optional: Annotated[bool, Meta(description="let requests without a token go on, as nobody's")] = False
        max_size: Annotated[Size, Meta(description="largest token")] = Size("8KiB")
        remembered: Annotated[int, Meta(ge=0, description="verified tokens that are remembered")] = 10_000

    def __init__(self, config: Config, site: Site) -> None:
        super().__init__(config, site, challenge=f'Bearer realm="{site.name}"', optional=config.optional)
        self._options = config
        self._consumers = site.consumers
        self._places = Places(config.places)
        self._fixed = [key for place, table in enumerate(config.keys) for key in read_keys(table, place)]
        self._url = (
            KeySetUrl(
                config.jwks_url,
                refresh=float(config.jwks_refresh),
                pause=float(config.jwks_pause),
                timeout=float(config.jwks_timeout),
            )
            if config.jwks_url
            else None
        )
        self._verifier = TokenVerifier(
            algorithms=self._allowed(),
            issuers=config.issuer,
            audiences=config.audience,
            required=config.required,
            leeway=float(config.leeway),
        )
        self._known: dict[bytes, tuple[Identity, float]] = {}  # token -> whose it is, when it expires
        self._versions = (-1, -1)
        self._claim_headers = dict(config.claim_headers)

    async def open(self) -> None:
        """Fetch the issuer's keys."""
        if self._url is not None:
            await self._url.open()

    async def close(self) -> None:
        """Stop fetching them."""
        if self._url is not None:
            await self._url.close()

    def authenticate(self, exchange: Exchange) -> Found | Coroutine[Any, Any, Found]:
        """Return whose token the request has."""
        token = self._places.find(exchange)
        if token is None:
            return None
        known = self._known.get(token)
        if (
            known is not None
            and known[1] > time.time()
            and self._versions == (self._consumers.version, self._url.version if self._url is not None else 0)
        ):
            return known[0]
        return self._verify(token)

    def forward(self, exchange: Exchange) -> None:
        """Tell the target who the request speaks for."""
        super().forward(exchange)
        if self._options.hide:
            self._places.hide(exchange)

    def _allowed(self) -> frozenset[str]:
        """Return the algorithms that tokens may be signed by."""
        wanted = frozenset(self._options.algorithms)
        if not self._fixed and self._url is None:
            raise PluginInvalid("there is no key; give keys or jwks_url")
        theirs = frozenset().union(*(key.algorithms for key in self._fixed))
        if self._url is not None:
            theirs |= frozenset(name for name in Algorithm.__args__ if not name.startswith("HS"))  # type: ignore[attr-defined]
        if unfit := sorted(wanted - theirs):
            raise PluginInvalid(
                f"no key is for {', '.join(unfit)}; the keys are for {', '.join(sorted(theirs))}"
            )
        return wanted or theirs

    def _verify(self, sent: bytes) -> Found | Coroutine[Any, Any, Found]:
        token = sent
        if sent[:7].lower() == BEARER:
            token = sent[7:].strip()
        elif b" " in sent:
            return None  # another scheme's credentials
        if len(token) > self._options.max_size:
            return self._refuse("It is too large.")
        if self._url is not None and not self._url.keys and not self._fixed:
            return self._ask(sent, token) if self._url.may_fetch else Response.problem_of(NO_KEYS)
        try:
            return self._accept(sent, self._verifier.verify(token, self._keys(), time.time()))
        except KeyUnknown as error:
            if self._url is not None and self._url.may_fetch:
                return self._ask(sent, token)
            return self._refuse(str(error))
        except TokenRefused as error:
            return self._refuse(str(error))

    async def _ask(self, sent: bytes, token: bytes) -> Found:
        """Fetch the key set anew, and verify once more."""
        assert self._url is not None
        await self._url.fetch()
        if not self._keys():
            return Response.problem_of(NO_KEYS)
        try:
            return self._accept(sent, self._verifier.verify(token, self._keys(), time.time()))
        except TokenRefused as error:
            return self._refuse(str(error))

    def _keys(self) -> list[TokenKey]:
        return self._fixed + self._url.keys if self._url is not None else self._fixed

    def _accept(self, sent: bytes, claims: dict[str, Any]) -> Found:
        name = claims.get(self._options.consumer_claim)
        if not isinstance(name, str) or not name:
            return self._refuse(f"It lacks the claim {self._options.consumer_claim}.")
        groups = claims.get(self._options.groups_claim, ())
        groups = groups.split() if isinstance(groups, str) else groups
        if not isinstance(groups, list | tuple) or not all(isinstance(group, str) for group in groups):
            return self._refuse(f"Its claim {self._options.groups_claim} is no list of names.")
        consumer = self._consumers.named(name)
        if consumer is None and self._options.known_consumers:
            return self._refuse("It is of nobody who is known here.")
        identity = Identity(
            name,
            scheme="jwt",
            groups={*groups, *(consumer.groups if consumer is not None else ())},
            credential=claims["jti"] if isinstance(claims.get("jti"), str) else "",
            claims=claims,
            claim_headers=self._claim_headers,
        )
        self._remember(sent, identity, claims.get("exp"))
        return identity

    def _remember(self, sent: bytes, identity: Identity, expires: Any) -> None:
        versions = (self._consumers.version, self._url.version if self._url is not None else 0)
        if self._versions != versions:
            self._versions = versions
            self._known.clear()
        if not self._options.remembered:
            return
        if len(self._known) >= self._options.remembered:
            self._known.pop(next(iter(self._known)))
        until = float(expires) + float(self._options.leeway) if expires is not None else float("inf")
        self._known[sent] = identity, until

    def _refuse(self, why: str) -> Response:
        text = why.replace('"', "'")
        challenge = self.challenge + f', error="invalid_token", error_description="{text}"'.encode(
            "latin-1", "replace"
        )
        return challenged(REFUSED, challenge, why)


def read_keys(table: KeyConfig, place: int) -> list[TokenKey]:
    """Return the keys of one table; raise PluginInvalid naming its place."""
    try:
        if table.secret is not None:
            return [secret_key(table.secret.reveal(), table.kid)]
        if table.public_key is not None:
            return [pem_key(table.public_key.reveal(), table.kid)]
        assert table.jwks is not None
        return jwk_keys(table.jwks.reveal(), secrets=True)
    except TokenKeyInvalid as error:
        raise PluginInvalid(f"keys[{place}] {error}") from None
