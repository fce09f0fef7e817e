"""How fast, and in how much memory: measured beside peers on the same file in the same run. See docs/performance.md."""
