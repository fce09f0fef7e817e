"""``python -m sandbox``, from the project's root."""

import sys
from pathlib import Path

# The functions' source root is a folder that is deployed, not a package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "functions"))

from sandbox.cli import main

sys.exit(main())
