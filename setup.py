"""Build the compiled modules: every core/_fast/*.pyx is one extension.

AGORA_EXTENSIONS=head,router  builds only those (default: all)
AGORA_SANITIZE=address        builds with that sanitizer (run under its preloaded runtime)
AGORA_LEAKS=1                 builds with the live-object counters that the leak tests read
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

wanted = set(filter(None, os.environ.get("AGORA_EXTENSIONS", "").split(",")))
sanitizer = os.environ.get("AGORA_SANITIZE", "")
leaks = bool(os.environ.get("AGORA_LEAKS"))

compile_args = ["-O3", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unreachable-code"]
link_args: list[str] = []
if sanitizer:
    compile_args = ["-O1", "-g", f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer"]
    link_args = [f"-fsanitize={sanitizer}"]

sources = sorted(path for path in Path("core/_fast").glob("*.pyx") if not wanted or path.stem in wanted)
setup(
    ext_modules=cythonize(
        [
            Extension(
                f"core._fast.{path.stem}",
                [str(path)],
                extra_compile_args=compile_args,
                extra_link_args=link_args,
                define_macros=[("AGORA_LEAKS", "1" if leaks else "0")],
            )
            for path in sources
        ],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
        annotate=bool(os.environ.get("AGORA_ANNOTATE")),
    )
)
