"""libopendkim's numbers and words, which scripts compare with.

The law: facts of its header file and its table of errors, under its names; nothing is computed here.
"""

from __future__ import annotations

STATUS = {
    "DKIM_STAT_OK": 0, "DKIM_STAT_BADSIG": 1, "DKIM_STAT_NOSIG": 2, "DKIM_STAT_NOKEY": 3, "DKIM_STAT_CANTVRFY": 4,
    "DKIM_STAT_SYNTAX": 5, "DKIM_STAT_NORESOURCE": 6, "DKIM_STAT_INTERNAL": 7, "DKIM_STAT_REVOKED": 8,
    "DKIM_STAT_INVALID": 9, "DKIM_STAT_NOTIMPLEMENT": 10, "DKIM_STAT_KEYFAIL": 11, "DKIM_STAT_CBREJECT": 12,
    "DKIM_STAT_CBINVALID": 13, "DKIM_STAT_CBTRYAGAIN": 14, "DKIM_STAT_CBERROR": 15, "DKIM_STAT_MULTIDNSREPLY": 16,
    "DKIM_STAT_SIGGEN": 17,
}  # fmt: skip
FLAGS = {
    "DKIM_SIGFLAG_IGNORE": 0x01, "DKIM_SIGFLAG_PROCESSED": 0x02, "DKIM_SIGFLAG_PASSED": 0x04,
    "DKIM_SIGFLAG_TESTKEY": 0x08, "DKIM_SIGFLAG_NOSUBDOMAIN": 0x10, "DKIM_SIGFLAG_KEYLOADED": 0x20,
}  # fmt: skip
CANONS = {"DKIM_CANON_UNKNOWN": -1, "DKIM_CANON_SIMPLE": 0, "DKIM_CANON_RELAXED": 1, "DKIM_CANON_DEFAULT": 0}
ALGORITHMS = {
    "DKIM_SIGN_UNKNOWN": -2, "DKIM_SIGN_DEFAULT": -1, "DKIM_SIGN_RSASHA1": 0, "DKIM_SIGN_RSASHA256": 1,
    "DKIM_SIGN_ED25519SHA256": 2,
}  # fmt: skip

OK, BADSIG, NOSIG, NOKEY, CANTVRFY, SYNTAX = 0, 1, 2, 3, 4, 5
REVOKED, INVALID, KEYFAIL = 8, 9, 11
IGNORE, PROCESSED, PASSED, TESTKEY, NOSUBDOMAIN = 0x01, 0x02, 0x04, 0x08, 0x10

ERRORS = {
    -1: "unknown error", 0: "no signature error", 1: "unsupported signature version", 2: "invalid domain coverage",
    3: "signature expired", 4: "signature timestamp in the future", 5: "signature timestamp order error",
    7: "invalid header canonicalization", 8: "invalid body canonicalization", 9: "signature algorithm missing",
    10: "signature algorithm invalid", 11: "header list missing", 12: "body length value invalid",
    13: "query method invalid", 14: "query option invalid", 15: "domain tag missing", 16: "domain tag empty",
    17: "selector tag missing", 18: "selector tag empty", 19: "signature data missing", 20: "signature data empty",
    21: "signature data corrupt", 22: "key not found in DNS", 23: "key DNS reply corrupt", 24: "key DNS query failed",
    25: "body hash missing", 26: "body hash empty", 27: "body hash corrupt", 28: "signature verification failed",
    29: "unauthorized subdomain", 30: "multiple keys found", 31: "header list tag empty",
    32: "header list missing required entries", 33: "length tag value exceeds body size",
    34: "unprotected header field", 35: "unknown key version", 36: "unknown key hash",
    37: "signature-key hash mismatch", 38: "not an e-mail key", 40: "key type missing", 41: "unknown key type",
    42: "key revoked", 43: "unable to apply public key", 44: "version missing", 45: "version empty",
    46: "signing key too small",
}  # fmt: skip
"""Text by DKIM_SIGERROR_*, as dkim_sig_geterrorstr gives it."""

NUMBERS = {text: number for number, text in ERRORS.items()}
