import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness import free_port

AGORA = Path(sys.executable).with_name("agora")
GREETING = '''
from core.plugin import PluginConfig
from core.units import Duration

class Greeting:
    """Adds a greeting header."""

    class Config(PluginConfig, frozen=True):
        text: str  # what to say
        wait: Duration = Duration("5s")  # how long to wait

    def __init__(self, config, site): ...
    def request(self, exchange): ...
    def response(self, exchange): ...
'''
CONFIG = """
[server]
listen = "127.0.0.1:8099"

[[upstream]]
name = "markets"
targets = ["http://127.0.0.1:9000", "http://127.0.0.1:9001"]

[[plugin]]
use = "greeting:Greeting"
text = "hi"

[[route]]
name = "market"
path = "/markets/{id}"
methods = ["GET"]
hosts = ["*.example.test"]
upstream = "markets"

[[route]]
name = "shop"
path = "/shop/{rest:path}"
app = "shop:app"

[[route]]
name = "welcome"
path = "/"
respond = { json = { hello = "world" } }
"""
SHOP = "print('importing the shop')\nasync def app(scope, receive, send): ...\n"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Agora = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greeting.py").write_text(GREETING)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "agora.toml").write_text(CONFIG)
    (tmp_path / "wrong.toml").write_text(
        CONFIG.replace('"markets"\n\n', '"marktes"\n\n').replace("text =", "txt =")
    )
    return tmp_path


@pytest.fixture
def agora(folder: Path) -> Agora:
    def run(*arguments: str, cwd: Path = folder) -> Result:
        done = subprocess.run([AGORA, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def on_a_terminal(*arguments: str, cwd: Path, columns: int = 200) -> tuple[int, str]:
    """Run the command with a terminal for input, output and errors; return the code and what is shown."""
    master, slave = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [AGORA, *arguments], cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env=environ
    )
    os.close(slave)
    shown = b""
    while select.select([master], [], [], 60)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        shown += piece
    os.close(master)
    return process.wait(60), shown.decode()


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")


WRONG_ROUTE = "wrong.toml: route[0].upstream: no upstream is called 'marktes'; did you mean 'markets'?\n"
WRONG_PLUGIN = """\
wrong.toml: plugin[0].txt: unknown key; did you mean 'text'?
wrong.toml: plugin[0].text: is missing; what to say
"""


def test_check_finds_no_mistakes_in_a_right_file(agora: Agora) -> None:
    assert agora("check", "agora.toml") == (
        0,
        "agora.toml: no mistakes (3 routes, 1 upstream, 1 plugin, 0 consumers)\n",
        "importing the shop\n",
    )


def test_check_reports_every_mistake_on_a_line_of_its_own(agora: Agora) -> None:
    assert agora("check", "wrong.toml") == (1, "", WRONG_PLUGIN)


def test_check_goes_on_to_names_once_values_are_right(agora: Agora, folder: Path) -> None:
    text = (folder / "wrong.toml").read_text()
    (folder / "wrong.toml").write_text(text.replace("txt =", "text ="))
    assert agora("check", "wrong.toml") == (1, "", "importing the shop\n" + WRONG_ROUTE)


def test_check_reports_in_json_for_programs(agora: Agora) -> None:
    code, out, err = agora("check", "--json", "wrong.toml")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert told["valid"] is False
    assert told["problems"][0] == {
        "file": "wrong.toml",
        "key": "plugin[0].txt",
        "wrong": "unknown key",
        "right": "did you mean 'text'?",
        "line": 0,
        "column": 0,
    }
    code, out, _ = agora("check", "agora.toml", "--json")
    assert (code, json.loads(out)) == (0, {"valid": True, "problems": []})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nlisten =\n", "a.toml:2:9: is not TOML: invalid value"),
        ("routes = []\n", "a.toml: routes: unknown key; did you mean 'route'?"),
        (
            '[server]\ntimeouts.head = "10 seconds"\n',
            'a.toml: server.timeouts.head: must be a duration, not the string "10 seconds"; '
            'write seconds as a number, or a string with a unit: "250ms", "10s", "5m", "1h", "7d"',
        ),
        (
            "[server]\nworkers = -1\n",
            "a.toml: server.workers: must be a whole number from 0 to 1024, not the number -1; "
            "worker processes; 0: one for each core (default: 1)",
        ),
        (
            '[server]\nlisten = "8000"\n',
            'a.toml: server.listen: must be an address to listen on, not the string "8000"; '
            'write "127.0.0.1:8000", "[::1]:8000" or "unix:/run/agora.sock"',
        ),
        (
            '[route]\nname = "a"\n',
            "a.toml: route: must be a list of tables, not a table; "
            "write [[route]] in TOML, a list in YAML and JSON",
        ),
        (
            '[[route]]\nname = "a"\npath = "/"\n',
            "a.toml: route[0]: has no target; give exactly one of upstream, app and respond",
        ),
        (
            '[[upstream]]\nname = "u"\ntargets = ["127.0.0.1:9000"]\n',
            'a.toml: upstream[0].targets[0]: must be a server\'s URL, not the string "127.0.0.1:9000"; '
            'write "http://host:port", "https://host:port" or "unix:/run/app.sock"',
        ),
        (
            '[[upstream]]\nname = "u"\ntargets = ["http://a"]\nbalance = "random"\n',
            'a.toml: upstream[0].balance: must be one of "consistent-hash", "ewma", "least-requests", '
            '"random-two", "round-robin", "weighted", not the string "random"; '
            'how the next server is chosen (default: "round-robin")',
        ),
        (
            '[admin]\ntoken = "env:AGORA_NO_SUCH"\n',
            "a.toml: admin.token: the environment variable 'AGORA_NO_SUCH' is not set; "
            "start with AGORA_NO_SUCH=... set",
        ),
        (
            '[[plugin]]\nuse = "greeting:Greting"\n',
            "a.toml: plugin[0].use: module 'greeting' has no class 'Greting'; "
            "the name of a plugin, or its import path; `agora plugins` lists them",
        ),
        (
            '[[upstream]]\nname = "u"\ntargets = ["http://localhost:8000"]\n',
            "a.toml: upstream[0].targets[0]: http://localhost:8000 is this gateway itself (127.0.0.1:8000): "
            "requests would go in circles; name another server",
        ),
    ],
)
def test_check_says_what_is_wrong_and_what_would_be_right(
    agora: Agora, folder: Path, text: str, message: str
) -> None:
    (folder / "a.toml").write_text(text)
    assert agora("check", "a.toml") == (1, "", message + "\n")


def test_check_makes_every_plugin(agora: Agora, folder: Path) -> None:
    """What a plugin's class refuses is found before serving, at all its places."""
    (folder / "fussy.py").write_text(
        "class Fussy:\n"
        "    from core.plugin import PluginConfig as Config\n"
        "    def __init__(self, config, site):\n"
        "        raise ValueError(f'not on {site.route or \"every route\"} {site.parameters}')\n"
        "    def request(self, exchange): pass\n"
    )
    (folder / "a.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:{free_port()}"\n[[plugin]]\nuse = "fussy:Fussy"\n'
        '[[route]]\nname = "r"\npath = "/{id}"\nrespond = {}\n[[route.plugin]]\nuse = "fussy:Fussy"\n'
    )
    wrong = "plugin 'fussy:Fussy' cannot be made: ValueError: not on"
    first = f"a.toml: plugin[0]: {wrong} every route None\n"
    second = f"a.toml: route[0].plugin[0]: {wrong} r ('id',)\n"
    assert agora("check", "a.toml") == (1, "", first + second)
    code, _, printed = agora("serve", "a.toml")
    assert code == 1
    assert f"plugin[0]: {wrong} every route None" in printed


def test_check_on_a_terminal_sets_place_fault_and_cure_apart(folder: Path) -> None:
    code, shown = on_a_terminal("check", "wrong.toml", cwd=folder)
    assert code == 1
    assert "\x1b[31munknown key\x1b[0m" in shown
    assert plain(shown).splitlines() == [
        "wrong.toml  plugin[0].txt",
        "  unknown key",
        "  did you mean 'text'?",
        "wrong.toml  plugin[0].text",
        "  is missing",
        "  what to say",
        "2 problems",
    ]


def test_a_file_is_read_the_same_from_anywhere(agora: Agora, folder: Path) -> None:
    code, out, _ = agora("check", str(folder / "agora.toml"), cwd=Path("/"))
    assert (code, out.partition(":")[0]) == (0, str(folder / "agora.toml"))


def test_routes_are_one_line_each_in_a_pipe(agora: Agora) -> None:
    code, out, _ = agora("routes", "agora.toml")
    assert code == 0
    use = "greeting:Greeting"
    assert out.splitlines() == [
        f"market\tGET\t*.example.test\t/markets/{{id}}\t{use}\t"
        "upstream markets: http://127.0.0.1:9000, http://127.0.0.1:9001",
        f"shop\tany\tany\t/shop/{{rest:path}}\t{use}\tapp shop:app",
        f"welcome\tany\tany\t/\t{use}\trespond 200",
    ]


def test_routes_are_a_coloured_table_on_a_terminal(folder: Path) -> None:
    code, shown = on_a_terminal("routes", "agora.toml", cwd=folder)
    assert code == 0
    assert "\x1b[" in shown
    lines = plain(shown).splitlines()
    [head] = [
        line for line in lines if line.split() == ["route", "methods", "hosts", "path", "plugins", "target"]
    ]
    [row] = [line for line in lines if line.strip().startswith("welcome")]
    assert row.index("respond 200") == head.index("target")
    assert any(set(line.strip()) == {"─"} for line in lines)


def test_routes_fold_on_a_narrow_terminal_and_lose_nothing(folder: Path) -> None:
    _, shown = on_a_terminal("routes", "agora.toml", cwd=folder, columns=60)
    assert max(len(line) for line in plain(shown).splitlines()) <= 60
    assert "…" not in shown


def test_routes_in_json(agora: Agora) -> None:
    _, out, _ = agora("routes", "agora.toml", "--json")
    first = json.loads(out)[0]
    assert first["route"] == "market"
    assert first["plugins"] == ["greeting:Greeting"]


def test_explain_says_which_route_and_why_and_which_plugins(agora: Agora) -> None:
    code, out, _ = agora("explain", "agora.toml", "GET", "/markets/7", "-H", "Host: www.example.test")
    assert code == 0
    assert out.splitlines() == [
        "request\tGET /markets/7\thost www.example.test",
        "route\tmarket\t/markets/{id}",
        "parameter\tid\t7",
        "target\tupstream markets: http://127.0.0.1:9000, http://127.0.0.1:9001",
        "matches\t/markets/{id}\tpath and method match (*.example.test)\tmarket",
        "phase\trequest\tgreeting:Greeting",
        "phase\tresponse\tgreeting:Greeting",
    ]


def test_explain_exits_with_3_when_no_route_takes_the_request(agora: Agora) -> None:
    code, out, err = agora("explain", "agora.toml", "GET", "/nothing")
    assert (code, err) == (3, "importing the shop\n")
    assert "answer\t404\tno route matches" in out.splitlines()
    code, out, _ = agora("explain", "agora.toml", "GET", "/nothing", "--json")
    told = json.loads(out)
    assert (code, told["status"], told["route"]) == (3, 404, None)


def test_explain_refuses_what_is_no_request_as_a_wrong_command_line(agora: Agora) -> None:
    code, out, err = agora("explain", "agora.toml", "G T", "/")
    assert (code, out) == (2, "")
    assert "'G T' is no method" in err


def test_plugins_show_options_defaults_and_units(agora: Agora) -> None:
    assert agora("plugins", "greeting:Greeting") == (
        0,
        "greeting:Greeting\t\trequest, response\t\tAdds a greeting header.\n"
        "greeting:Greeting\ttext\tstring\trequired\twhat to say\n"
        'greeting:Greeting\twait\tduration\t"5s"\thow long to wait\n',
        "",
    )
    _, out, _ = agora("plugins", "greeting:Greeting", "--json")
    [view] = json.loads(out)
    assert view["phases"] == ["request", "response"]
    assert view["options"][0]["required"] is True


def test_plugins_are_a_table_on_a_terminal(folder: Path) -> None:
    code, shown = on_a_terminal("plugins", "greeting:Greeting", cwd=folder)
    assert code == 0
    words = [line.split() for line in plain(shown).splitlines()]
    assert ["option", "type", "default", "what", "it", "is", "for"] in words
    assert ["text", "string", "required", "what", "to", "say"] in words


def test_every_built_in_plugin_is_listed_and_says_what_each_option_is_for(agora: Agora) -> None:
    code, out, err = agora("plugins", "--json")
    assert (code, err) == (0, "")
    from plugins import BUILT_IN

    views = json.loads(out)
    assert [view["use"] for view in views][: len(BUILT_IN)] == list(BUILT_IN)
    for view in views:
        assert view["summary"], view["use"]
        for option in view["options"]:
            assert option["description"], f"{view['use']}: {option['name']}"


def test_an_unknown_plugin_is_an_error(agora: Agora) -> None:
    code, out, err = agora("plugins", "no-such")
    assert (code, out) == (1, "")
    assert err.startswith("agora: no plugin is called 'no-such'; ")


def test_schema_prints_one_json_document(agora: Agora) -> None:
    code, out, err = agora("schema", "--built-in")
    assert (code, err) == (0, "")
    assert out == Path(__file__).parents[2].joinpath("docs/agora.schema.json").read_text()


@pytest.mark.parametrize("command", ["check", "routes", "serve"])
def test_a_file_that_is_not_there_is_an_error(agora: Agora, command: str) -> None:
    code, out, err = agora(command, "none.toml")
    assert (code, out) == (1, "")
    assert err == "none.toml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize("command", ["routes", "explain", "serve"])
def test_a_wrong_file_is_refused_by_every_command(agora: Agora, command: str) -> None:
    arguments = ["GET", "/"] if command == "explain" else []
    assert agora(command, "wrong.toml", *arguments) == (1, "", WRONG_PLUGIN)


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["check", "a", "b"], ["routes", "--nope", "a"]]
)
def test_a_wrong_command_line_exits_with_2_and_says_so_on_stderr(agora: Agora, arguments: list[str]) -> None:
    code, out, err = agora(*arguments)
    assert code == 2
    assert (out or err) if not arguments else (err and not out)


def test_help_lists_every_command_and_the_exit_codes(agora: Agora) -> None:
    code, out, _ = agora("--help")
    assert code == 0
    for command in ("serve", "check", "routes", "explain", "plugins", "schema", "requests"):
        assert re.search(rf"^\W*{command}\b", out, re.MULTILINE)
    assert "Exit codes" in out


def test_version(agora: Agora) -> None:
    assert re.fullmatch(r"agora \d+\.\d+\.\d+\n", agora("--version").out)


def test_a_reader_that_stops_early_is_no_error(folder: Path) -> None:
    routes = "".join(f'[[route]]\nname = "r{n}"\npath = "/{n}"\nrespond = {{}}\n' for n in range(5000))
    (folder / "many.toml").write_text(routes)
    shell = ["bash", "-c", f"'{AGORA}' routes many.toml | head -1; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1)
    assert done.stdout == "r0\tany\tany\t/0\t-\trespond 200\n"
    assert done.stderr == ""


def test_checking_imports_neither_the_server_nor_the_event_loop(folder: Path) -> None:
    """What a command does not need, it does not wait for."""
    (folder / "small.toml").write_text('[[route]]\nname = "a"\npath = "/"\nrespond = {}\n')
    code = (
        "import sys; from gateway.cli import app; app(['check', 'small.toml'], standalone_mode=False); "
        "print(*sorted({'starlette', 'uvloop', 'asyncio', 'rich', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == ""
