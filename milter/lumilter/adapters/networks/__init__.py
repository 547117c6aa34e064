"""Networks of addresses with a value each: looked up by address, read from rbldnsd's files and from datasources."""
