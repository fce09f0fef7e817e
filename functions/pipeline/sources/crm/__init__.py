"""The source ``crm``: delimited text files that people and exports drop into the landing bucket.

``discover`` looks at the first bytes of each file and freezes how it is to be read; ``fetch`` copies its bytes to bronze and
yields its rows. A file's identity is its content: under another name or in another run it is not loaded again, unless other
content came between (``arrivals``). A file that cannot be placed is a slice too, one that is rejected with the reason: nothing
that was dropped goes unnoticed.
"""

from __future__ import annotations

from pipeline.sources.crm.fetching import decided_of, fetch, pages_of
from pipeline.sources.crm.file_names import is_ignored
from pipeline.sources.crm.planning import discover

__all__ = ["decided_of", "discover", "fetch", "is_ignored", "pages_of"]
