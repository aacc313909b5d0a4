"""The fuzz target runs for a bounded time: AGORA_FUZZ_SECONDS, 60 by default, 0 to replay the corpus only."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.http1_input import check

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "corpus").iterdir())
SECONDS = int(os.environ.get("AGORA_FUZZ_SECONDS", "60"))


@pytest.mark.parametrize("path", CORPUS, ids=[path.name for path in CORPUS])
def test_the_corpus_holds_the_invariant(path: Path) -> None:
    check(path.read_bytes())


@pytest.mark.timeout(SECONDS + 60)
def test_no_input_breaks_the_invariant(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.fuzz_http1",
            str(tmp_path),
            str(HERE / "corpus"),
            f"-dict={HERE / 'http1.dict'}",
            f"-artifact_prefix={tmp_path}/",
            "-max_len=700",
            "-timeout=20",
            f"-max_total_time={SECONDS}" if SECONDS else "-runs=0",
        ],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    done = re.search(r"Done (\d+) runs", run.stderr)
    assert done is not None, run.stderr[-1000:]
    assert int(done[1]) >= 20 * SECONDS  # a fuzzer that hardly runs proves nothing
