"""What the Makefile runs: the demo, the lock, the system packages."""
