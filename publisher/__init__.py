"""The owner: seals, signs and posts images."""
