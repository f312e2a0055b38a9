"""The inbox as a web page on this machine; starlette and uvicorn are imported here alone: that takes 0.2 s."""
