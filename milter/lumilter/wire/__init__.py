"""The milter protocol, twice: in Python on the event loop (`server`), and by libmilter through pymilter (`serve`).

What an MTA sends becomes `session.events` objects, an `Outcome` becomes milter replies. The law: no decision is taken
here, and nothing here knows of scripts. The seam is `handler.Server` and `handler.Conversation`. What is negotiated,
which edits can be written, what is owed and the macros are the same for both; the only importers of pymilter in the
project are `callbacks`, `connection` and `serve`, so that the wire in Python runs without it.
"""
