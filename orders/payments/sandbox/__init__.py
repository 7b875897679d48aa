"""A payment system that misbehaves on purpose: the demo's provider and the tests' double.

Run as a process of its own (`python -m orders.payments.sandbox`); imports no Django and nothing of ours but this
folder. Everything that it has to remember is in one SQLite file, callbacks still to be delivered included.
"""
