"""Write tailgate/pb from protos/, or with --check say whether it is what protos/ would give.

The generator's version is pinned in pyproject.toml (extra `dev`): a newer one would stamp a newer protobuf into the
stubs, and with it raise the floor of every user's protobuf.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("tailgate/pb")


def generate(into: Path) -> list[Path]:
    """Generate stubs below `into`; returns their paths relative to it."""
    sources = sorted((ROOT / "protos").rglob("*.proto"))
    includes = [f"-I{PACKAGE}={ROOT / 'protos'}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    names = [str(PACKAGE / source.relative_to(ROOT / "protos")) for source in sources]
    if protoc.main(["protoc", *includes, f"--python_out={into}", f"--pyi_out={into}", *names]) != 0:
        sys.exit("protoc failed; it has said why above")
    return sorted(path.relative_to(into) for path in into.glob(f"{PACKAGE}/**/*_pb2.py*"))


def main() -> int:
    """Generate, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a stub is stale")
    options = parser.parse_args()
    if not options.check:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = generate(Path(folder))
        stale = [
            path
            for path in fresh
            if not (ROOT / path).is_file() or (ROOT / path).read_bytes() != (Path(folder) / path).read_bytes()
        ]
    for path in stale:
        sys.stderr.write(f"{path} is stale; run `make stubs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
