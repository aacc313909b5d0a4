"""Build the compiled modules: every core/_fast/*.pyx is one extension.

AGORA_EXTENSIONS=head,router             builds only those; none: nothing (default: all)
AGORA_SANITIZE=address,undefined         builds with those sanitizers, to run under their preloaded runtime
AGORA_LEAKS=1                            also builds tests/leaks/census, which counts live objects
AGORA_ANNOTATE=1                         writes an .html beside each source: where Python is called from C
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

wanted = set(filter(None, os.environ.get("AGORA_EXTENSIONS", "").split(",")))
sanitizers = os.environ.get("AGORA_SANITIZE", "")

# NOTE: copying no bytes from NULL is fine; the compiler must not conclude that the pointer is not NULL.
# not NULL.
compile_args = ["-O3", "-fno-strict-aliasing", "-fno-delete-null-pointer-checks"]
compile_args += ["-Wno-unused-function", "-Wno-unreachable-code"]
link_args: list[str] = []
if sanitizers:
    link_args = [f"-fsanitize={sanitizers}", "-fno-sanitize=nonnull-attribute", "-fno-sanitize-recover=all"]
    compile_args += ["-O1", "-g", "-fno-omit-frame-pointer", *link_args]

sources = sorted(path for path in Path("core/_fast").glob("*.pyx") if not wanted or path.stem in wanted)
if os.environ.get("AGORA_LEAKS"):
    sources.append(Path("tests/leaks/census.pyx"))

setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join(path.with_suffix("").parts),
                [str(path)],
                extra_compile_args=compile_args,
                extra_link_args=link_args,
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
            "auto_pickle": False,
            "freethreading_compatible": False,
        },
        annotate=bool(os.environ.get("AGORA_ANNOTATE")),
    )
)
