"""Signatures on mail, made and checked: DKIM, DomainKeys, ARC; and who may send: SPF, DMARC.

The law: nothing here knows a session or a script. DNS is asked through the `Lookup` that is handed in, so that caches,
deadlines and fixtures hold. Work on a hostile message grows with its length only: no loop over signatures touches the
whole message more than a fixed number of times.

dkimpy reads tags and keys, and is a peer in the tests. Three of its parts are not used: RSA in Python numbers holds the
interpreter (19 ms for a signature against 1 ms in OpenSSL; 14 s to check one against a key of 16,384 bits with a large
exponent), its relaxed body canonicalization takes time in the square of a run of spaces (1 s for 20 kB), and a key that
DNS could not say now is the same to it as none.
"""
