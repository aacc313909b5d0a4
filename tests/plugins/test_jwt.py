"""The jwt plugin."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from core.authentication.consumers import Consumer
from core.errors import PluginInvalid
from core.testing import PluginChain, Sent, site_for
from tests.harness import Client, Origin, Recorder, eventually, serving, upstream
from tests.plugins.make import plugin

SECRET = "a secret of sixty-four bytes, which is what HS512 asks of one, and more"
SIGNERS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
SIGNERS["PS256"] = SIGNERS["RS512"] = SIGNERS["RS256"]


def pem(key: Any) -> str:
    data: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data.decode()


def token(
    algorithm: str = "HS256", key: Any = SECRET, head: dict[str, Any] | None = None, **claims: Any
) -> str:
    claims = {"sub": "alice", "exp": time.time() + 86_400} | claims
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm, headers=head)


def send(chain: PluginChain, sent: str, scheme: str = "Bearer ") -> Sent:
    return chain.send(headers={"authorization": scheme + sent})


def hs(**options: Any) -> PluginChain:
    return PluginChain(plugin("jwt", **{"keys": [{"secret": SECRET}], **options}))


def b64(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(head: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    content = f"{b64(head)}.{b64(claims)}"
    return f"{content}.{b64(hmac.new(secret, content.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_lets_in_who_has_a_token_signed_by_a_secret(algorithm: str) -> None:
    chain = hs()
    made = token(algorithm, groups=["a", "b"], jti="7")
    for _ in range(2):
        sent = send(chain, made)
        assert sent.status == 200
        assert sent.exchange.consumer.name == "alice"
        assert sent.forwarded is not None
        told = dict(sent.forwarded.headers)
        assert (told[b"x-consumer-name"], told[b"x-consumer-groups"]) == (b"alice", b"a,b")
        assert told[b"x-credential-id"] == b"7"


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_lets_in_who_has_a_token_signed_by_a_private_key(algorithm: str) -> None:
    chain = PluginChain(plugin("jwt", keys=[{"public_key": pem(SIGNERS[algorithm])}]))
    assert send(chain, token(algorithm, SIGNERS[algorithm])).status == 200
    assert send(chain, token(algorithm, SIGNERS[algorithm]), "bearer ").status == 200


REFUSED = {
    "nothing": ("", "no signed token"),
    "words": ("a.b.c", "no signed token"),
    "another secret": (token(key=SECRET + "x"), "signature does not hold"),
    "expired": (token(exp=time.time() - 1), "has expired"),
    "not valid yet": (token(nbf=time.time() + 86_400), "not valid yet"),
    "no expiry": (token(exp=None), "lacks the claim exp"),
    "no consumer": (token(sub=None), "lacks the claim sub"),
    "consumer is a number": (token(sub=7), "lacks the claim sub"),
    "groups are numbers": (token(groups=[1]), "no list of names"),
    "expiry is text": (
        signed({"alg": "HS256"}, {"sub": "a", "exp": "soon"}, SECRET.encode()),
        "claim exp is no time",
    ),
    "no algorithm": (f"{b64({'alg': 'none'})}.{b64({'sub': 'a', 'exp': 9e9})}.", "no signed token"),
    "none, signed": (signed({"alg": "none"}, {"sub": "a", "exp": 9e9}, SECRET.encode()), "not allowed"),
    "None": (f"{b64({'alg': 'None'})}.{b64({'sub': 'a', 'exp': 9e9})}.", "no signed token"),
    "a kind that no key has": (token("RS256", SIGNERS["RS256"]), "not allowed"),
    "critical": (token(head={"crit": ["x"], "x": 1}), "It "),
    "unencoded": (
        signed({"alg": "HS256", "b64": False}, {"sub": "a", "exp": 9e9}, SECRET.encode()),
        "extension",
    ),
    "head is a list": (f"{b64(b'[]')}.{b64({})}.AA", "no signed token"),
    "deep": (f"{b64(b'[' * 5000)}.{b64({})}.AA", "no signed token"),
    "trailing": (token() + "A", ""),
    "a part more": (token() + ".A", ""),
    "not ASCII": (token() + "é", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_every_other_token_with_the_reason(name: str) -> None:
    made, why = REFUSED[name]
    chain = hs()
    for _ in range(2):
        sent = chain.send(headers=[("authorization", b"Bearer " + made.encode("latin-1"))])
        assert sent.status == 401
        assert sent.forwarded is None
        assert why in sent.body.decode()
        assert 'error="invalid_token"' in (sent.headers.get(b"www-authenticate") or b"").decode()


def test_asks_for_a_token_where_there_is_none_or_another_scheme() -> None:
    chain = hs()
    assert chain.send().headers.get(b"www-authenticate") == b'Bearer realm="test"'
    sent = send(chain, "dTpw", "Basic ")
    assert (sent.status, sent.headers.get(b"www-authenticate")) == (401, b'Bearer realm="test"')
    assert hs(optional=True).send().status == 200


def test_a_public_key_is_never_a_secret() -> None:
    key = SIGNERS["RS256"]
    chain = PluginChain(plugin("jwt", keys=[{"public_key": pem(key)}]))
    for secret in (pem(key), pem(key).strip(), pem(key).replace("\n", "")):
        forged = signed({"alg": "HS256"}, {"sub": "root", "exp": 9e9}, secret.encode())
        assert send(chain, forged).status == 401
    both = PluginChain(plugin("jwt", keys=[{"public_key": pem(key)}, {"secret": SECRET}]))
    forged = signed({"alg": "HS256"}, {"sub": "root", "exp": 9e9}, pem(key).encode())
    assert send(both, forged).status == 401
    assert send(both, token()).status == 200


def test_keys_that_a_token_brings_along_are_not_believed() -> None:
    mine = SIGNERS["RS256"]
    chain = PluginChain(plugin("jwt", keys=[{"public_key": pem(rsa.generate_private_key(65537, 2048))}]))
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    for head in (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:1/"},
        {"x5u": "http://127.0.0.1:1/"},
        {"kid": "../../dev/null"},
    ):
        assert send(chain, token("RS256", mine, head)).status == 401


def test_a_key_id_chooses_the_key() -> None:
    keys = [{"kid": "1", "secret": SECRET}, {"kid": "2", "secret": SECRET + "2"}]
    chain = PluginChain(plugin("jwt", keys=keys))
    assert send(chain, token(key=SECRET + "2", head={"kid": "2"})).status == 200
    assert send(chain, token(key=SECRET + "2", head={"kid": "1"})).status == 401
    assert send(chain, token(key=SECRET + "2")).status == 200
    assert send(chain, token(head={"kid": "3"})).status == 401


def test_holds_tokens_to_issuer_and_audience() -> None:
    chain = hs(issuer=["https://i"], audience=["us", "them"])
    assert send(chain, token(iss="https://i", aud=["x", "them"])).status == 200
    assert b"another audience" in send(chain, token(iss="https://i", aud="x")).body
    assert b"lacks the claim aud" in send(chain, token(iss="https://i")).body
    assert b"another issuer" in send(chain, token(iss="https://j", aud="us")).body
    assert send(hs(), token(aud="anyone", iss="anyone")).status == 200


def test_clocks_may_be_apart_by_the_leeway() -> None:
    chain = hs(leeway="1m")
    made = token(exp=time.time() - 30)
    assert [send(chain, made).status for _ in range(2)] == [200, 200]
    assert send(chain, token(exp=time.time() - 90)).status == 401


def test_what_is_remembered_is_bounded_and_void_when_consumers_change() -> None:
    site = site_for(route="test")
    site.consumers.fill([Consumer(name="alice", groups=frozenset({"staff"}))], {})
    made = plugin("jwt", site, keys=[{"secret": SECRET}], known_consumers=True, remembered=3)
    chain = PluginChain(made)
    tokens = [token(jti=str(number)) for number in range(10)]
    assert [send(chain, one).status for one in tokens] == [200] * 10
    assert len(made._known) == 3
    assert send(chain, tokens[-1]).exchange.consumer.groups == {"staff"}
    site.consumers.fill([], {})
    assert send(chain, tokens[-1]).status == 401


def test_tells_claims_in_headers_that_cannot_break_out() -> None:
    chain = hs(claim_headers={"X-Userinfo-Mail": "mail", "x-userinfo-roles": "roles"})
    sent = send(chain, token(mail="a\r\nx-root: 1 é", roles=["a", 1, True]))
    assert sent.forwarded is not None
    told = dict(sent.forwarded.headers)
    assert told[b"x-userinfo-mail"] == b"a%0D%0Ax-root: 1 %C3%A9"
    assert told[b"x-userinfo-roles"] == b"a,1,true"


def test_hides_the_token_and_finds_it_elsewhere() -> None:
    chain = hs(places=["cookie:token"], hide=True)
    sent = chain.send(headers={"cookie": f"token={token()}; a=b"})
    assert sent.forwarded is not None
    assert dict(sent.forwarded.headers)[b"cookie"] == b"a=b"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"keys": []}, "there is no key; give keys or jwks_url"),
        ({"keys": [{"secret": "short"}]}, r"keys\[0\] has 5 bytes; a secret has 32 at least"),
        ({"keys": [{"secret": pem(SIGNERS["RS256"])}]}, "give it as public_key"),
        ({"keys": [{"public_key": "nonsense"}]}, "no PEM public key"),
        ({"keys": [{"jwks": "{}"}]}, "no key to verify"),
        ({"keys": [{"jwks": "["}]}, "not JSON"),
        ({"algorithms": ["RS256"]}, "no key is for RS256; the keys are for HS256, HS384, HS512"),
    ],
)
def test_refuses_keys_that_cannot_verify(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(PluginInvalid, match=wrong):
        hs(**options)


@given(st.binary(max_size=200))
def test_never_fails_whatever_is_sent(data: bytes) -> None:
    clean = bytes(byte for byte in data if byte >= 32 and byte != 127)
    sent = CHAIN.send(headers=[("authorization", b"Bearer x" + clean)])
    assert sent.status == 401


CHAIN = hs()


# -- keys of an issuer ------------------------------------------------------------------------------------


def key_set(**keys: Any) -> bytes:
    found = []
    for kid, key in keys.items():
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        found.append({**jwk, "kid": kid, "use": "sig", "alg": "RS256"})
    found.append({"kty": "oct", "k": b64(SECRET.encode()), "kid": "oct"})
    body = json.dumps({"keys": found}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def get(made: str) -> bytes:
    return f"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {made}\r\n\r\n".encode()


async def test_an_issuer_that_rotates_goes_away_and_is_slow() -> None:
    old, new = SIGNERS["RS256"], rsa.generate_private_key(65537, 2048)
    async with Recorder(key_set(old=old)) as issuer, Recorder() as origin:
        config = upstream(origin)
        config["route"][0]["plugin"] = [
            {"use": "jwt", "jwks_url": issuer.url + "/keys", "jwks_pause": 0, "jwks_timeout": "200ms"}
        ]
        async with serving(config) as gateway:
            assert len(issuer.requests) == 1
            assert (await gateway.ask(get(token("RS256", old, {"kid": "old"})))).status == 200
            assert (await gateway.ask(get(token("HS256", SECRET, {"kid": "oct"})))).status == 401
            issuer.answer = key_set(old=old, new=new)
            assert (await gateway.ask(get(token("RS256", new, {"kid": "new"})))).status == 200
            assert len(issuer.requests) == 2
            issuer.answer = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
            assert (await gateway.ask(get(token("RS256", old, {"kid": "gone"})))).status == 401
            issuer.answer = b""  # it takes the request and says nothing
            assert (await gateway.ask(get(token("RS256", old, {"kid": "gone"})))).status == 401
            assert (await gateway.ask(get(token("RS256", new, {"kid": "new"}, jti="2")))).status == 200


async def test_strangers_make_no_more_fetches_than_the_pause_allows() -> None:
    async with Recorder(key_set(old=SIGNERS["RS256"])) as issuer:
        config = upstream(issuer)
        config["route"][0]["plugin"] = [{"use": "jwt", "jwks_url": issuer.url + "/keys", "jwks_pause": "1h"}]
        async with serving(config) as gateway:
            for number in range(20):
                made = token("RS256", SIGNERS["RS256"], {"kid": f"stranger {number}"})
                assert (await gateway.ask(get(made))).status == 401
            assert len(issuer.requests) == 1


async def test_an_issuer_that_is_away_at_the_start_is_asked_again() -> None:
    async def nothing(client: Client) -> None:
        client.close()

    async with Origin(nothing) as issuer:
        port = issuer.port
        config = upstream(issuer)
        options = {"use": "jwt", "jwks_url": f"http://127.0.0.1:{port}/keys", "jwks_pause": "20ms"}
        config["route"][0]["plugin"] = [options]
        async with serving(config) as gateway:
            made = get(token("RS256", SIGNERS["RS256"], {"kid": "old"}))
            assert (await gateway.ask(made)).status == 503
            answer = key_set(old=SIGNERS["RS256"])

            async def serve(client: Client) -> None:
                while True:
                    await client.request()
                    client.send(answer)

            before = issuer.connections
            issuer._script = serve
            await eventually(lambda: issuer.connections > before)
            got = await gateway.ask(made)
            assert got.status == 200
