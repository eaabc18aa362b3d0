"""NATS servers whose credentials change or expire under way, for tests of what happens to a connection then."""

import base64
import hashlib
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

nkeys: Any = importlib.import_module("nkeys")  # it has no type hints

_OPERATOR, _ACCOUNT, _USER = nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER


class _Key:
    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix)
        self.pair = nkeys.from_seed(bytearray(self.seed))
        self.name = self.pair.public_key.decode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _jwt(issuer: _Key, subject: str, nats: dict[str, Any], expires: float | None = None) -> str:
    claims: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": issuer.name,
        "name": "test",
        "sub": subject,
        "nats": nats | {"version": 2},
    }
    if expires is not None:
        claims["exp"] = int(expires)
    claims["jti"] = hashlib.sha256(json.dumps(claims).encode()).hexdigest()
    head = _encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    signed = f"{head}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_encoded(issuer.pair.sign(signed.encode()))}"


class Operator:
    """An operator with one account, whose users get credentials that expire."""

    def __init__(self) -> None:
        operator, self._account, system = _Key(_OPERATOR), _Key(_ACCOUNT), _Key(_ACCOUNT)
        limits = {"subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1}
        storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        ours = _jwt(operator, self._account.name, {"type": "account", "limits": limits | storage})
        theirs = _jwt(operator, system.name, {"type": "account", "limits": limits})
        own = _jwt(operator, operator.name, {"type": "operator", "system_account": system.name})
        self.config = (
            f"operator: {own}\nsystem_account: {system.name}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n  {self._account.name}: {ours}\n  {system.name}: {theirs}\n}}\n"
        )

    def write_credentials(self, path: Path, *, seconds: float) -> None:
        """Write a file of credentials that expire, as nsc does; replaced at one blow."""
        user = _Key(_USER)
        limits = {"subs": -1, "data": -1, "payload": -1}
        token = _jwt(self._account, user.name, {"type": "user", **limits}, time.time() + seconds)
        new = path.with_suffix(".new")
        new.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        new.rename(path)
