"""msys.pcre: Perl-compatible regular expressions, with limits that a hostile message can't pass.

The law: declarations only; libpcre2 is the adapter's.
"""

from __future__ import annotations
