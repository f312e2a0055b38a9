"""Watching a folder: each new image in it is posted once (docs/watching.md)."""
