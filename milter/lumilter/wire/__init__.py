"""The milter protocol, by libmilter: the only package that imports pymilter.

Callbacks become `session.events` objects, an `Outcome` becomes libmilter calls. The law: no decision is taken here,
and nothing here knows of scripts. The seam is `handler.Server` and `handler.Conversation`.
"""
