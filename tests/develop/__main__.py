"""``python -m tests.develop``: prints the ledger of the public files; ``--write`` makes it what is expected."""

from __future__ import annotations

import argparse
import sys

from tests.develop import ledger

parser = argparse.ArgumentParser(prog="python -m tests.develop", description=__doc__)
parser.add_argument("--write", action="store_true", help="write expected.csv instead; read its changes before committing them")
options = parser.parse_args()
lines = ledger.everything()
if options.write:
    ledger.write(lines)
else:
    sys.stdout.write(ledger.table(lines))
