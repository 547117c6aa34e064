"""Filters of pymilter alone, in one process: `pymilter_filter.py SOCKET all|end|policy`.

The law: nothing but pymilter. "all" answers every callback; "end" sees as much and answers the end of the message only,
like a lumilter whose scripts have no earlier hook; "policy" is "end" with the policy of the comparison, in Python.
"""

import re
import sys

import Milter


class All(Milter.Base):
    """Accepts everything."""

    def connect(self, name: str, family: int, address: object) -> int:
        return Milter.CONTINUE

    def hello(self, name: str) -> int:
        return Milter.CONTINUE

    def envfrom(self, sender: str, *parameters: str) -> int:
        return Milter.CONTINUE

    def envrcpt(self, recipient: str, *parameters: str) -> int:
        return Milter.CONTINUE

    def data(self) -> int:
        return Milter.CONTINUE

    def header(self, name: str, value: str) -> int:
        return Milter.CONTINUE

    def eoh(self) -> int:
        return Milter.CONTINUE

    def body(self, chunk: bytes) -> int:
        return Milter.CONTINUE

    def eom(self) -> int:
        return Milter.CONTINUE


class End(All):
    """Accepts everything, and is asked at the end of the message only."""

    connect = Milter.noreply(All.connect)
    hello = Milter.noreply(All.hello)
    envfrom = Milter.noreply(All.envfrom)
    envrcpt = Milter.noreply(All.envrcpt)
    data = Milter.noreply(All.data)
    header = Milter.noreply(All.header)
    eoh = Milter.noreply(All.eoh)
    body = Milter.noreply(All.body)


class Policy(End):
    """Reads From, To and Subject, matches the subject and adds a header."""

    @Milter.noreply
    def envfrom(self, sender: str, *parameters: str) -> int:
        self.headers: dict[str, str] = {}
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name: str, value: str) -> int:
        self.headers.setdefault(name.lower(), value)
        return Milter.CONTINUE

    def eom(self) -> int:
        seen = self.headers["from"] and self.headers["to"] and re.search(r"[Ff]ree\s+money", self.headers["subject"])
        self.addheader("X-Policy", "money" if seen else "none")
        return Milter.CONTINUE


if __name__ == "__main__":
    where, which = sys.argv[1:]
    Milter.factory = {"all": All, "end": End, "policy": Policy}[which]
    Milter.set_flags(Milter.ADDHDRS)
    Milter.runmilter("pymilter", where, timeout=600)
