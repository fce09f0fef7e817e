"""Drafts a preset for a file that no preset knows: which stream it is, which column is which field, what is unsure about it."""
