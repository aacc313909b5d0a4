import asyncio
from pathlib import Path

from gateway.config_syntax import PARSERS
from tests.processes.served import AGORA

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_every_example_is_without_mistakes() -> None:
    files = [file for file in EXAMPLES.rglob("*") if file.suffix in PARSERS and "var" not in file.parts]
    assert files
    for file in files:
        process = await asyncio.create_subprocess_exec(
            AGORA, "check", str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        assert b"no mistakes" in out
