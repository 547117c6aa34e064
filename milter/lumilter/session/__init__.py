"""What a mail session is: events in, Momentum's phases, edits and a verdict out.

The law: sans-IO. Nothing here knows of Lua, sockets, threads, files or clocks.
"""
