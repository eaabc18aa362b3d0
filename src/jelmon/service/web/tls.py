"""``tls_server_config`` of a web-config file as an SSL context.

Names are those of Go's crypto/tls, as in Prometheus exporters. What Python's ``ssl`` cannot do the same way is refused
if the result would be less secure, and a warning if it is more secure.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from jelmon.config.strict_yaml import Fields, did_you_mean
from jelmon.service.web.file_state import State, state_of

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1_2,
    "TLS11": ssl.TLSVersion.TLSv1_2,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,  # Go requests the certificate and ignores it
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")
_CIPHERS = {  # Go's name -> OpenSSL's; ciphers of TLS 1.3 are fixed, in Go as in Python
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The TLS configuration of a server."""

    context: ssl.SSLContext
    allowed_names: frozenset[str]
    files: Mapping[Path, State]  # state just before they were read
    warnings: tuple[str, ...]


class _EncryptedKeyError(Exception):
    pass


def read_tls(fields: Fields, folder: Path) -> Tls | None:
    """Return the TLS configuration of the section; None, after recording problems, if it is invalid.

    Paths are relative to ``folder``.
    """
    problems = fields.place.source.problems
    before = len(problems)
    warnings: list[str] = []
    files: dict[Path, State] = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _read_versions(fields, context, warnings)
    _read_ciphers(fields, context)
    _read_curves(fields, context, warnings)
    kind = _read_client_auth(fields, warnings)
    authority = _read_pem(fields, "client_ca", "client_ca_file", folder, files)
    names = frozenset(name for name, _ in fields.texts("client_allowed_sans"))
    certificate = _read_pem(fields, "cert", "cert_file", folder, files)
    key = _read_pem(fields, "key", "key_file", folder, files)
    fields.done("tls_server_config")
    for pem, name in ((certificate, "cert"), (key, "key")):
        if pem is None and not fields.has(name) and not fields.has(f"{name}_file"):
            fields.place.refuse(f"tls_server_config: {name}_file (or {name}) is missing")
    verifies = _CLIENT_AUTH[kind] is not ssl.CERT_NONE
    if verifies and authority is None and not fields.has("client_ca") and not fields.has("client_ca_file"):
        fields.at("client_auth_type").refuse(
            f"{kind} needs client_ca_file", hint="the certificate of the CA that signs the client certificates"
        )
    if not verifies and kind != "RequestClientCert" and (fields.has("client_ca") or fields.has("client_ca_file")):
        fields.place.refuse(
            "a client CA is given but client certificates are not requested",
            hint="client_auth_type: RequireAndVerifyClientCert",
        )
    if names and not verifies:
        fields.at("client_allowed_sans").refuse(
            "client_allowed_sans needs verified client certificates",
            hint="client_auth_type: RequireAndVerifyClientCert",
        )
    if len(problems) > before or certificate is None or key is None:
        return None
    _load(fields, context, certificate, key, authority)
    context.verify_mode = _CLIENT_AUTH[kind]
    if len(problems) > before:
        return None
    return Tls(context=context, allowed_names=names, files=files, warnings=tuple(warnings))


def _read_versions(fields: Fields, context: ssl.SSLContext, warnings: list[str]) -> None:
    least = fields.choice("min_version", _VERSIONS, "TLS12")
    most = fields.choice("max_version", _VERSIONS, "TLS13")
    if most in ("TLS10", "TLS11"):
        fields.at("max_version").refuse(f"{most} is insecure and not supported", hint="max_version: TLS12 or TLS13")
    elif (least, most) == ("TLS13", "TLS12"):
        fields.at("max_version").refuse("max_version is below min_version")
    if least in ("TLS10", "TLS11"):
        warnings.append(f"min_version: {least} is not supported, TLS 1.2 is used")
    context.minimum_version, context.maximum_version = _VERSIONS[least], _VERSIONS[most]


def _read_ciphers(fields: Fields, context: ssl.SSLContext) -> None:
    names = []
    for name, place in fields.texts("cipher_suites"):
        if name not in _CIPHERS:
            place.refuse(f"unknown cipher suite {name!r}", hint=did_you_mean(name, _CIPHERS))
        elif _CIPHERS[name]:
            names.append(_CIPHERS[name])
    if names:
        context.set_ciphers(":".join(names))
    if fields.flag("prefer_server_cipher_suites", True):
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _read_curves(fields: Fields, context: ssl.SSLContext, warnings: list[str]) -> None:
    names = []
    for name, place in fields.texts("curve_preferences"):
        if name in _CURVES:
            names.append(_CURVES[name])
        else:
            place.refuse(f"unknown curve {name!r}", hint=did_you_mean(name, _CURVES))
    if not names or set(names) == set(_CURVES.values()):
        return  # the default
    set_groups = getattr(context, "set_groups", None)  # Python 3.15 and newer
    if set_groups is not None:
        set_groups(":".join(names))
        return
    context.set_ecdh_curve(names[0])
    if len(names) > 1:
        warnings.append("curve_preferences: this Python supports one curve only, the first is used")


def _read_client_auth(fields: Fields, warnings: list[str]) -> str:
    kind = fields.choice("client_auth_type", (*_CLIENT_AUTH, *_UNVERIFIED), "NoClientCert")
    if kind in _UNVERIFIED:
        fields.at("client_auth_type").refuse(
            f"{kind} accepts any certificate, which protects nothing; it is not supported",
            hint="client_auth_type: RequireAndVerifyClientCert, with client_ca_file",
        )
        return "NoClientCert"
    if kind == "RequestClientCert":
        warnings.append("client_auth_type: RequestClientCert verifies nothing, so no certificate is requested")
    return kind


def _read_pem(fields: Fields, inline: str, in_file: str, folder: Path, files: dict[Path, State]) -> bytes | None:
    """Return the PEM text that is inline or in another file."""
    if fields.has(inline) and fields.has(in_file):
        fields.at(inline).refuse(f"{inline} and {in_file} exclude each other", hint="remove one of them")
    text = fields.text(inline, None)
    name = fields.text(in_file, None)
    if name is None:
        return text.encode() if text is not None else None
    path = folder / name
    files[path] = state_of(path)
    try:
        return path.read_bytes()
    except OSError as error:
        fields.at(in_file).refuse(
            f"{in_file}: cannot read {path}: {error.strerror}",
            hint="relative paths start at the folder of the web-config file",
        )
        return None


def _load(fields: Fields, context: ssl.SSLContext, certificate: bytes, key: bytes, authority: bytes | None) -> None:
    def refuse_password() -> NoReturn:
        raise _EncryptedKeyError

    place = fields.at("cert_file" if fields.has("cert_file") else "cert")
    try:
        with _as_file(certificate) as certificate_path, _as_file(key) as key_path:
            context.load_cert_chain(certificate_path, key_path, password=refuse_password)
    except _EncryptedKeyError:
        fields.at("key_file" if fields.has("key_file") else "key").refuse(
            "the key is encrypted",
            hint="decrypt it: openssl pkey -in server.key -out plain.key; make it readable by this user only",
        )
    except ssl.SSLError as error:
        place.refuse(
            f"certificate and key cannot be used: {_reason(error)}",
            hint="both must be PEM files: the certificate followed by its chain, and its key",
        )
    if authority is not None:
        try:
            context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            reason = _reason(error) if isinstance(error, ssl.SSLError) else str(error)
            fields.at("client_ca_file" if fields.has("client_ca_file") else "client_ca").refuse(
                f"the client CA cannot be used: {reason}", hint="give a PEM file with at least one certificate"
            )


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield a path to content in memory: ``ssl`` reads certificates and keys from paths only."""
    descriptor = os.memfd_create("pem")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"
