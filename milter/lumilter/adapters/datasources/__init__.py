"""Datasources: databases, directories and files that policies ask, behind one contract.

The law: no Lua, no session. Libraries of databases are imported for datasources that there are, when
one is told to load or first asked.

    service     every datasource by name: what the API talks to
    datasource  one of them: its cache, its threads, its places in order
    contract    what a driver is, a request, an answer, and the errors
    uris        from a URI of the configuration to a driver
    lanes, cache    its threads, and the answers that are kept
    sql (sql_dialects, sql_odbc), ldap, csv_files, cdb, iowrapper    the drivers

Source: manual, "ds_core - Datasource Query Core".
"""
