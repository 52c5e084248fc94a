"""A service that answers over HTTP, and its page; only here fastapi and uvicorn are imported."""
