"""An OpenLDAP server of a test's own, with a few people in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ldap3

from support.certificates import Authority
from support.ports import free_port
from support.server_process import ServerProcess, own_directory, prepared

SUFFIX = "dc=example,dc=com"
ROOT = f"cn=admin,{SUFFIX}"
PASSWORD = "s,cr?t&=x"
PEOPLE = f"ou=people,{SUFFIX}"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/pid
argsfile {directory}/args
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
database mdb
maxsize 16777216
suffix "{suffix}"
rootdn "{root}"
rootpw "{password}"
directory {directory}/data
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=closed,{suffix}" by dn.exact="cn=ann,ou=people,{suffix}" read by * none
access to * by * read
"""

ENTRIES = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=closed,{SUFFIX}
objectClass: organizationalUnit
ou: closed

dn: cn=ann,{PEOPLE}
objectClass: inetOrgPerson
cn: ann
sn: Lee
mail: ann@example.com
mail: ann.lee@example.com
userPassword: ann's,pass

dn: cn=bob (the * one),{PEOPLE}
objectClass: inetOrgPerson
cn: bob (the * one)
sn:: Q2Fmw6k=
mail: bob@example.com
jpegPhoto:: /wD+

dn: ou=far,{SUFFIX}
objectClass: referral
objectClass: extensibleObject
ou: far
ref: ldap://127.0.0.1:{{port}}/{PEOPLE}
"""


@dataclass
class OpenLdap:
    """port: plain; secure: TLS."""

    server: ServerProcess
    port: int
    secure: int

    @property
    def uri(self) -> str:
        """The server, and nothing else."""
        return f"ldap://127.0.0.1:{self.port}"


@contextmanager
def openldap(authority: Authority) -> Iterator[OpenLdap]:
    """Running, with ENTRIES."""
    with own_directory() as directory:
        (directory / "data").mkdir(mode=0o700)
        certificate, key = authority.certificate("localhost")
        port, secure = free_port(), free_port()
        config = CONFIG.format(
            directory=directory, suffix=SUFFIX, root=ROOT, password=PASSWORD,
            authority=authority.file, certificate=certificate, key=key,
        )  # fmt: skip
        (directory / "slapd.conf").write_text(config)
        entries = ENTRIES.format(port=port).encode()
        prepared(["/usr/sbin/slapadd", "-f", directory / "slapd.conf", "-q"], data=entries)
        command = [
            "/usr/sbin/slapd", "-d", "0", "-f", str(directory / "slapd.conf"),
            "-h", f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{secure}",
        ]  # fmt: skip

        def ready() -> bool:
            connection = ldap3.Connection(ldap3.Server("127.0.0.1", port, get_info=ldap3.NONE), receive_timeout=5)
            connection.open()
            bound = bool(connection.bind())
            connection.unbind()
            return bound

        server = ServerProcess(command, directory / "log", ready)
        with server.running():
            yield OpenLdap(server, port, secure)
