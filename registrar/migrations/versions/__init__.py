"""One module a step, each with the one before it as ``down_revision``."""
