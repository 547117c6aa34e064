"""Tables of the configuration, one file for each topic; `schema` joins them."""
