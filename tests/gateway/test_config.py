import json
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from core.decode import ConfigInvalid, ConfigProblem
from core.units import Duration
from gateway.config import from_data, load

ROUTE = '[[route]]\nname = "a"\npath = "/"\nrespond = {}\n'
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules and folders that a test's configuration brought in."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def refused(path: Path, environ: dict[str, str] | None = None) -> list[ConfigProblem]:
    with pytest.raises(ConfigInvalid) as refusal:
        load(path, environ or {})
    assert all(problem.file == str(path) for problem in refusal.value.problems)
    return list(refusal.value.problems)


def first(path: Path) -> tuple[int, int, str]:
    [problem] = refused(path)
    assert problem.key == ""
    return problem.line, problem.column, problem.wrong


def keys_and_faults(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    return [f"{problem.key}: {problem.wrong}" for problem in refused(path, environ)]


def test_toml_yaml_and_json_mean_the_same(write: Write) -> None:
    data = {
        "server": {"listen": ["127.0.0.1:8000"], "timeouts": {"head": "5s"}},
        "upstream": [{"name": "u", "targets": ["http://127.0.0.1:9000"]}],
        "route": [{"name": "a", "path": "/", "methods": ["GET"], "upstream": "u"}],
    }
    toml = """
        [server]
        listen = ["127.0.0.1:8000"]
        timeouts.head = "5s"
        [[upstream]]
        name = "u"
        targets = ["http://127.0.0.1:9000"]
        [[route]]
        name = "a"
        path = "/"
        methods = ["GET"]
        upstream = "u"
    """
    made = load(write("a.toml", toml))
    assert load(write("a.json", json.dumps(data))) == made
    assert load(write("a.yaml", msgspec.yaml.encode(data).decode())) == made
    assert load(write("a.yml", json.dumps(data))) == made
    assert load(write("A.TOML", toml)) == made
    assert made.server.timeouts.head == Duration(5)


def test_relative_paths_start_in_the_files_folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("etc/a.toml", '[server]\nlisten = "unix:run/a.sock"\n')
    monkeypatch.chdir(path.parent.parent)
    made = load("etc/a.toml")
    assert made.server.data_dir == path.parent / "var"
    assert made.server.listen[0].path == str(path.parent / "run/a.sock")


def test_an_editors_schema_line_is_no_unknown_key(write: Write) -> None:
    load(write("a.json", '{"$schema": "./agora.schema.json"}'))


@pytest.mark.parametrize("name", ["a.toml", "a.yaml"])
def test_an_empty_file_is_a_configuration_of_defaults(write: Write, name: str) -> None:
    assert load(write(name, "# nothing yet\n")).route == ()


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.toml", "a =\n", (1, 4, "is not TOML: invalid value")),
        ("a.toml", "a = 'x", (1, 0, "is not TOML: expected \"'\"")),
        ("a.toml", "a = 1\na = 2\n", (2, 6, "is not TOML: cannot overwrite a value")),
        ("a.toml", "[a]\n[a]\n", (2, 3, "is not TOML: cannot declare ('a',) twice")),
        ("a.yaml", "a: [\n", (2, 1, "is not YAML: while parsing a flow node, expected the node "
                                    "content, but found '<stream end>'")),
        ("a.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n",
         (4, 3, "is not YAML: the key 'c' is there twice, first at line 3")),
        ("a.yaml", "on: 1\n", (1, 1, "is not YAML: the key 'on' is not a string; put it in quotes")),
        ("a.yaml", "? [a]\n: 1\n", (1, 3, "is not YAML: a key is not a string; put it in quotes")),
        ("a.yaml", "a: !!python/name:os.system\n",
         (1, 4, "is not YAML: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/name:os.system'")),
        ("a.yaml", "x: 1\na: \x01\n", (2, 0, "is not YAML: the character '\\x01' may not stand here")),
        ("a.yaml", "a: 1\n---\nb: 1\n", (2, 1, "is not YAML: expected a single document in the stream, "
                                             "but found another document")),
        ("a.json", '{"a":\n,}', (2, 1, "is not JSON: expecting value")),
        ("a.json", '{"b": {"a": 1, "a": 2}}',
         (0, 0, "is not JSON: the key 'a' is there twice in one object")),
        ("a.json", '{"a": NaN}', (0, 0, "is not JSON: the number NaN is not part of it")),
        ("a.json", "", (1, 1, "is not JSON: expecting value")),
        ("a.json", "[1]", (0, 0, "must be a table, not a list of 1")),
        ("a.json", "[" * 99999, (0, 0, "is nested too deeply, or contains itself")),
        ("a.yaml", "route: " + "[" * 9999, (0, 0, "is nested too deeply, or contains itself")),
        ("a.ini", "", (0, 0, "cannot tell the format of 'a.ini'")),
        ("agora", "", (0, 0, "cannot tell the format of 'agora'")),
    ],
)  # fmt: skip
def test_says_where_the_syntax_breaks(
    write: Write, name: str, text: str, found: tuple[int, int, str]
) -> None:
    assert first(write(name, text)) == found


def test_a_yaml_table_may_override_what_it_merges(write: Write) -> None:
    text = """
        route:
          - &first {name: a, path: /a, respond: {}}
          - &second {<<: *first, name: b, path: /b}
          - {<<: *second, name: c, path: /c}
    """
    made = load(write("a.yaml", text))
    assert [(route.name, route.path) for route in made.route] == [("a", "/a"), ("b", "/b"), ("c", "/c")]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert first(tmp_path / "none.toml") == (0, 0, "cannot be read: No such file or directory")
    (tmp_path / "folder.toml").mkdir()
    assert first(tmp_path / "folder.toml") == (0, 0, "cannot be read: Is a directory")


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes("# fine\n# caf\xe9\n".encode("latin-1"))
    [problem] = refused(path)
    assert (problem.line, problem.wrong, problem.right) == (2, "is not UTF-8", "save it as UTF-8")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf" + ROUTE.encode())
    assert load(path).route[0].name == "a"


def test_secrets_are_looked_up_in_the_environment_and_in_files(write: Write) -> None:
    write("keys/alice", "from-a-file\n")
    text = """
        [admin]
        token = "env:TOKEN"
        [[consumer]]
        name = "alice"
        keys = ["file:keys/alice", "written"]
    """
    made = load(write("a.toml", text), {"TOKEN": "from-the-environment"})
    assert made.admin.token is not None
    assert made.admin.token.reveal() == "from-the-environment"
    assert [key.reveal() for key in made.consumer[0].keys] == ["from-a-file", "written"]


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("env:TOKEN", "the environment variable 'TOKEN' is not set"),
        ("env:EMPTY", "the environment variable 'EMPTY' is empty"),
        ("env:", "the environment variable '' is not set"),
        ("env:LINES", "'env:LINES' holds more than printable ASCII characters"),
        ("file:none", "the file 'FOLDER/none' cannot be read: No such file or directory"),
        ("file:empty", "the file 'FOLDER/empty' is empty"),
        ("file:large", "the file 'FOLDER/large' is larger than 64KiB"),
        ("", 'must be a secret, not the string ""'),
    ],
)
def test_a_secret_that_is_not_there_is_refused_by_its_key(write: Write, token: str, found: str) -> None:
    write("empty", "\n")
    write("large", "x" * 70_000)
    path = write("a.toml", f'[admin]\ntoken = "{token}"\n')
    expected = [f"admin.token: {found.replace('FOLDER', str(path.parent))}"]
    assert keys_and_faults(path, {"EMPTY": "", "LINES": "a\nb"}) == expected


def test_a_secrets_value_is_in_no_message(write: Write) -> None:
    path = write("a.toml", '[admin]\ntoken = "env:T"\n[[consumer]]\nname = "a"\nkeys = ["env:T", "env:T"]\n')
    found = keys_and_faults(path, {"T": "hunter2"})
    assert found == ["consumer[0].keys[1]: is the same key as consumer[0].keys[0]"]


def test_problems_of_all_tables_come_together(write: Write) -> None:
    text = """
        typo = 1
        [server]
        workers = "four"
        [[upstream]]
        name = "u"
        [[route]]
        name = "a"
        path = "b"
    """
    assert keys_and_faults(write("a.toml", text)) == [
        "typo: unknown key",
        'server.workers: must be a whole number from 0 to 1024, not the string "four"',
        "upstream[0].targets: is missing",
        "route[0].path: must be a path that starts with '/', not the string \"b\"",
    ]


@pytest.mark.parametrize(
    ("text", "found", "right"),
    [
        (
            ROUTE + ROUTE.replace('"/"', '"/b"'),
            "route[1].name: 'a' is already the name of route[0]",
            "give each route its own name",
        ),
        (
            ROUTE + ROUTE.replace('"a"', '"b"'),
            "route[1]: takes the same requests as route[0] ('a')",
            "give one of them another path, other methods or other hosts",
        ),
        (
            ROUTE.replace("respond = {}", 'upstream = "markets"'),
            "route[0].upstream: no upstream is called 'markets'",
            "add an [[upstream]] of that name",
        ),
        (
            '[[upstream]]\nname = "markets"\ntargets = ["http://a"]\n'
            + ROUTE.replace("respond = {}", 'upstream = "marktes"'),
            "route[0].upstream: no upstream is called 'marktes'",
            "did you mean 'markets'?",
        ),
        (
            '[[consumer]]\nname = "a"\n[[consumer]]\nname = "a"\n',
            "consumer[1].name: 'a' is already the name of consumer[0]",
            "give each consumer its own name",
        ),
        (
            '[[upstream]]\nname = "u"\ntargets = ["http://a"]\ntls = { verify = false }\n',
            "upstream[0].tls: has settings, but no target is https://: connections would not be encrypted",
            "write https:// targets, or leave tls out",
        ),
    ],
)
def test_tables_are_held_to_each_other(write: Write, text: str, found: str, right: str) -> None:
    [problem] = refused(write("a.toml", text))
    assert f"{problem.key}: {problem.wrong}" == found
    assert problem.right == right


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v1/{x:path}"])
def test_a_route_may_not_take_all_of_the_gateways_own_path(write: Write, path: str) -> None:
    route = {"name": "a", "path": path, "respond": {}}
    assert keys_and_faults(write("a.json", json.dumps({"route": [route]}))) == [
        "route[0]: takes the same requests as the gateway's own path"
    ]
    load(write("b.json", json.dumps({"route": [route | {"hosts": ["a.example.test"]}]})))


def test_every_route_in_conflict_is_named(write: Write) -> None:
    routes = [{"name": name, "path": path, "respond": {}} for name, path in
              [("a", "/{x}"), ("b", "/b"), ("c", "/{y}"), ("d", "/b"), ("e", "/{z}")]]  # fmt: skip
    assert keys_and_faults(write("a.json", json.dumps({"route": routes}))) == [
        "route[2]: takes the same requests as route[0] ('a')",
        "route[3]: takes the same requests as route[1] ('b')",
        "route[4]: takes the same requests as route[0] ('a')",
    ]


@pytest.mark.parametrize(
    ("listen", "target", "loops"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8000", "http://localhost:8000", True),
        ("localhost:8000", "http://[::1]:8000", True),
        ("0.0.0.0:8000", "http://127.0.0.7:8000", True),
        ("0.0.0.0:8000", "http://0.0.0.0:8000", True),
        ("[::]:80", "http://localhost", True),
        ("[::]:443", "https://[::1]", True),
        ("unix:a.sock", "unix:./x/../a.sock", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8001", False),
        ("127.0.0.1:8000", "http://127.0.0.2:8000", False),
        ("127.0.0.1:8000", "http://[::1]:8000", False),
        ("0.0.0.0:8000", "http://192.0.2.1:8000", False),
        ("unix:a.sock", "unix:b.sock", False),
        ("unix:a.sock", "http://127.0.0.1:8000", False),
        ("127.0.0.1:0", "http://127.0.0.1:8000", False),
    ],
)
def test_an_upstream_may_not_be_the_gateway_itself(
    write: Write, listen: str, target: str, loops: bool
) -> None:
    text = f'[server]\nlisten = "{listen}"\n[[upstream]]\nname = "u"\ntargets = ["http://a:1", "{target}"]\n'
    path = write("a.toml", text)
    if loops:
        [problem] = refused(path)
        assert problem.key == "upstream[0].targets[1]"
        assert "is this gateway itself" in problem.wrong
    else:
        load(path)


def test_applications_are_imported_from_beside_the_file(write: Write) -> None:
    write("own_shop.py", "class api:\n    async def app(scope, receive, send): ...\n")
    load(write("a.toml", ROUTE.replace("respond = {}", 'app = "own_shop:api.app"')))
    assert "own_shop" in sys.modules


@pytest.mark.parametrize(
    ("app", "found"),
    [
        ("own_nothing:app", "cannot be imported: ModuleNotFoundError: No module named 'own_nothing'"),
        ("own_shop:none", "cannot be imported: AttributeError: module 'own_shop' has no attribute 'none'"),
        ("own_shop:NAME", "is not callable"),
        ("own_broken:app", "cannot be imported: ZeroDivisionError: division by zero"),
        ("own_exit:app", "cannot be imported: SystemExit: 3"),
    ],
)
def test_an_application_that_cannot_be_imported_is_refused(write: Write, app: str, found: str) -> None:
    write("own_shop.py", "NAME = 'shop'\n")
    write("own_broken.py", "1 / 0\n")
    write("own_exit.py", "raise SystemExit(3)\n")
    path = write("a.toml", ROUTE.replace("respond = {}", f'app = "{app}"'))
    assert keys_and_faults(path) == [f"route[0].app: {app!r} {found}"]


PLUGINS = """
from core.plugin import PluginConfig

class Gate:
    class Config(PluginConfig):
        limit: int = 3
    def __init__(self, config, site): ...
    def accept(self, exchange): ...

class Bare:
    def accept(self, exchange): ...
"""


def test_a_plugin_that_acts_before_routing_cannot_stand_on_a_route(write: Write) -> None:
    write("own_gate.py", PLUGINS)
    use = 'plugin = [{ use = "own_gate:Gate" }]\n'
    load(write("a.toml", use + ROUTE))
    assert keys_and_faults(write("b.toml", ROUTE + use)) == [
        "route[0].plugin[0]: 'own_gate:Gate' acts before a route is chosen (phase `accept`): "
        "here it never would"
    ]


def test_a_class_that_breaks_the_plugin_contract_is_refused_with_its_cure(write: Write) -> None:
    write("own_gate.py", PLUGINS)
    [problem] = refused(write("a.toml", 'plugin = [{ use = "own_gate:Bare" }]\n'))
    assert problem.key == "plugin[0].use"
    assert problem.wrong == "own_gate:Bare has no options struct"
    assert problem.right.startswith("declare `class Config(PluginConfig)")


def test_a_plugin_whose_module_fails_is_refused_by_its_name(write: Write) -> None:
    write("own_broken.py", "1 / 0\n")
    path = write("a.toml", 'plugin = [{ use = "own_broken:Gate" }]\n')
    assert keys_and_faults(path) == [
        "plugin[0].use: 'own_broken:Gate' cannot be imported: ZeroDivisionError: division by zero"
    ]


def test_a_plugins_options_are_checked_at_their_place(write: Write) -> None:
    write("own_gate.py", PLUGINS)
    text = 'plugin = [{ use = "own_gate:Gate", limt = 4 }, { use = "own_gate:Gate", limit = "4" }]\n'
    [first, second] = refused(write("a.toml", text))
    assert (first.key, first.wrong, first.right) == ("plugin[0].limt", "unknown key", "did you mean 'limit'?")
    assert (second.key, second.wrong) == ("plugin[1].limit", 'must be a whole number, not the string "4"')


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("one", "two"):
        made = authority.issue_cert(f"{name}.example.test")
        made.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    (folder / "text.pem").write_text("no certificate\n")
    return folder


def tls(certificates: Path, **changes: str) -> dict[str, Any]:
    names = {"certificate": "one.pem", "key": "one.key"} | changes
    return {key: str(certificates / name) for key, name in names.items()}


def test_certificates_that_fit_are_taken(certificates: Path) -> None:
    client = {"client_ca": str(certificates / "ca.pem"), "client_auth": "required"}
    sni = [{"hosts": ["*.example.test"], **tls(certificates, certificate="two.pem", key="two.key")}]
    made = from_data({"server": {"tls": {**tls(certificates), **client, "sni": sni}}})
    assert made.server.tls is not None
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.server.tls.certificate, made.server.tls.key)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"certificate": "none.pem"},
            "certificate: 'FOLDER/none.pem' cannot be read: No such file or directory",
        ),
        ({"key": "none.key"}, "key: 'FOLDER/none.key' cannot be read: No such file or directory"),
        ({"key": "two.key"}, "key: does not belong to the certificate 'FOLDER/one.pem'"),
        ({"certificate": "text.pem"}, "key: cannot be used"),
        ({"key": "text.pem"}, "key: cannot be used"),
    ],
)
def test_certificates_that_do_not_are_refused(
    certificates: Path, changes: dict[str, str], found: str
) -> None:
    wrong = tls(certificates, **changes)
    good = tls(certificates)
    upstream = {"name": "u", "targets": ["https://a"], "tls": wrong}
    data = {"server": {"tls": {**good, "sni": [{"hosts": ["a"], **wrong}]}}, "upstream": [upstream]}
    with pytest.raises(ConfigInvalid) as refusal:
        from_data(data)
    expected = found.replace("FOLDER", str(certificates))
    keys = ("server.tls.sni[0]", "upstream[0].tls")
    for key, problem in zip(keys, refusal.value.problems, strict=True):
        assert f"{problem.key}: {problem.wrong}".startswith(f"{key}.{expected}")


@pytest.mark.parametrize("name", ["text.pem", "none.pem"])
def test_authorities_that_hold_no_certificate_are_refused(certificates: Path, name: str) -> None:
    ca = str(certificates / name)
    data = {
        "server": {"tls": {**tls(certificates), "client_ca": ca, "client_auth": "optional"}},
        "upstream": [{"name": "u", "targets": ["https://a"], "tls": {"ca": ca}}],
    }
    with pytest.raises(ConfigInvalid) as refusal:
        from_data(data)
    assert [problem.key for problem in refusal.value.problems] == [
        "server.tls.client_ca",
        "upstream[0].tls.ca",
    ]


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(certificates: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key((certificates / "one.key").read_bytes(), None)
    locked = form.BestAvailableEncryption(b"hunter2")
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked)
    (tmp_path / "locked.key").write_bytes(pem)
    with pytest.raises(ConfigInvalid, match=r"server\.tls\.key: cannot be used"):
        from_data({"server": {"tls": tls(certificates) | {"key": str(tmp_path / "locked.key")}}})


def test_data_may_come_without_a_file(tmp_path: Path) -> None:
    made = from_data({"route": [{"name": "a", "path": "/", "respond": {}}]}, folder=tmp_path)
    assert made.server.data_dir == tmp_path / "var"
    with pytest.raises(ConfigInvalid) as refusal:
        from_data({"rout": []})
    assert str(refusal.value) == "rout: unknown key; did you mean 'route'?"


def test_an_answer_that_contains_itself_is_refused(write: Write) -> None:
    path = write("a.yaml", "route: [{name: a, path: /, respond: {json: &itself [*itself]}}]")
    assert keys_and_faults(path) == ["route[0].respond.json: cannot be written as JSON"]


def test_ten_thousand_routes_are_read(tmp_path: Path) -> None:
    routes = [{"name": f"r{n}", "path": f"/a{n}/{{id}}", "respond": {}} for n in range(10_000)]
    made = from_data({"route": routes}, folder=tmp_path)
    assert len(made.route) == 10_000
