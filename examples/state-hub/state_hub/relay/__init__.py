"""The edge relay: it accepts events where they arise, and forwards them when the API answers.

An event is accepted once it is in the outbox, a SQLite file. Only an answer of the API to its own
idempotency key settles it: what is sent again after a lost answer stays one event.
"""
