"""What lumilter counts and locks beyond one session: one contract, kept in memory, on the machine, or in Redis.

The law: no Lua and no session here. Every store does what `contract` says, and one test runs over all of them.
"""
