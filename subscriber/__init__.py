"""The reader: receives, verifies, opens and saves images."""
