"""`python -m jamaint.worker KIND`: the worker as a systemd unit."""

from jamaint.worker.main import serve_unit

serve_unit()
