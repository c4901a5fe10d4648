"""Databases that are maintained: connections of the work's own, in a worker, and what is done over them."""
