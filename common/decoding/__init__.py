"""The process that decodes images; common/decoder.py starts it and asks it.

It reads requests from stdin and answers on stdout, in this order and until its end, each a line of JSON. A request
says how many bytes of an image follow it:

    {"operation": "inspect", "size": 1234, "maximum_pixels": 80000000}
    {"media_type": "image/png", "width": 64, "height": 48}, or {"code": "truncated", "message": "…", "hint": "…"}
    {"operation": "thumbnail", "size": 1234, "maximum_pixels": 80000000, "longest_side": 480}
    {"thumbnail": "UklGR…"}, a WebP in base64url, or a refusal as above

The first line of all is `{}`: it is ready, and has given up what decoding does not need (common/decoding/limits.py).
"""

# How it ends where an image needs more memory than it may have.
OUT_OF_MEMORY = 3
