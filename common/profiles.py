"""What the certificates of docs/protocol.md, "Profiles", hold: names and extensions (RFC 5280, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

REGISTRAR_NAME = "registrar"
REGISTRAR_URI = "sealcast:registrar"
MEMBER_URI_HEAD = "sealcast:member:"
CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)
ROOT_PATH_LENGTH, ISSUING_PATH_LENGTH = 1, 0

Extensions = list[x509.Extension[x509.ExtensionType]]


def common_name(name: str) -> x509.Name:
    """Return the distinguished name that is this CN and nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority_extensions(public_key: rsa.RSAPublicKey, root_key: rsa.RSAPublicKey, *, path_length: int) -> Extensions:
    """Return the extensions of the root (path length 1) or of an issuing CA (0), both signed by the root."""
    return [
        _extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
        _extension(_key_usage(authority=True), critical=True),
        _extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
        _extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key)),
    ]


def end_extensions(
    public_key: rsa.RSAPublicKey,
    issuing_key: rsa.RSAPublicKey,
    names: Sequence[x509.GeneralName],
    usages: Sequence[x509.ObjectIdentifier] = CLIENT_USAGES,
) -> Extensions:
    """Return the extensions of an end certificate."""
    return [
        _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        _extension(_key_usage(authority=False), critical=True),
        _extension(x509.ExtendedKeyUsage(usages)),
        _extension(x509.SubjectAlternativeName(names)),
        _extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
        _extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key)),
    ]


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
