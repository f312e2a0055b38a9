"""What the three programs share: wire format, identity on disk, MQTT session, console."""
