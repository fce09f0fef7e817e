"""Other people's files, read with the product's own reader. The files are no part of this repository: see ``files.py``."""
