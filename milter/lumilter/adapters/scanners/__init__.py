"""Engines that judge what is in a message: virus scanners and spam filters, each behind one contract.

The law: an adapter knows one protocol and one server (`contract.Engine`); what is the same for all of them, such as
time, tries, several servers and the cache, is in `scanner` and nowhere else.
"""
