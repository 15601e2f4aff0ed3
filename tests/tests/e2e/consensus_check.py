#!/usr/bin/env python3
"""Checks the Tor consensus of each session in a store without any code of Vigie: stock age opens the
private part of each `session-open`, this page checks digest, lifetime and the authorities' signatures
(dir-spec version 3) with integers alone. Prints JSON, one object for each session.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path


def need(condition: object, what: str) -> None:
    if not condition:
        raise SystemExit(what)


def frames(folder: Path):
    """Entry and private part of every frame."""
    for path in sorted((folder / "segments").iterdir()):
        data, at = path.read_bytes(), 44
        while at < len(data):
            head = data[at : at + 44]
            exhibit, entry, private, local = (
                int.from_bytes(head[16:24]),
                int.from_bytes(head[24:28]),
                int.from_bytes(head[28:32]),
                int.from_bytes(head[32:36]),
            )
            start = at + 44
            yield data[start : start + entry].decode(), data[start + entry + exhibit :][:private]
            at = start + entry + exhibit + private + local + 120


def der_integers(der: bytes) -> tuple[int, int]:
    """Modulus and exponent of a PKCS #1 key."""

    def value(data: bytes, tag: int) -> tuple[bytes, bytes]:
        need(data[0] == tag, "DER: another tag")
        length, at = data[1], 2
        if length & 0x80:
            at += length & 0x7F
            length = int.from_bytes(data[2:at])
        return data[at : at + length], data[at + length :]

    inner, rest = value(der, 0x30)
    need(not rest, "DER: something behind the key")
    modulus, inner = value(inner, 2)
    exponent, inner = value(inner, 2)
    return int.from_bytes(modulus), int.from_bytes(exponent)


def signed(key: bytes, signature: bytes, digest: bytes) -> bool:
    """PKCS #1 v1.5 over a bare digest."""
    modulus, exponent = der_integers(key)
    size = (modulus.bit_length() + 7) // 8
    plain = pow(int.from_bytes(signature), exponent, modulus).to_bytes(size)
    return plain == b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest


def objects(text: str, name: str) -> list[bytes]:
    found = re.findall(rf"-----BEGIN {name}-----\n(.*?)-----END {name}-----", text, re.S)
    return [base64.b64decode(body) for body in found]


def keys(certificates: list[str], moment: str) -> dict[tuple[str, str], bytes]:
    """Signing keys that their authorities certified, by identity and digest."""
    found = {}
    for text in certificates:
        body = text[: text.index("\ndir-key-certification\n") + len("\ndir-key-certification\n")]
        part = {name: text.split(f"\n{name}\n")[1] for name in ("dir-identity-key", "dir-signing-key")}
        identity, signing = (objects(part[name], "RSA PUBLIC KEY")[0] for name in part)
        certification = objects(text[len(body) :], "SIGNATURE")[0]
        need(signed(identity, certification, hashlib.sha1(body.encode()).digest()), "a key certificate is not signed")
        published, expires = (re.search(rf"\n{name} (.{{19}})\n", text)[1] for name in ("dir-key-published", "dir-key-expires"))
        need(published <= moment <= expires, "a key certificate is out of its time")
        fingerprint = hashlib.sha1(identity).hexdigest().upper()
        need(f"\nfingerprint {fingerprint}\n" in text, "a key certificate names another identity")
        found[fingerprint, hashlib.sha1(signing).hexdigest().upper()] = signing
    return found


def check(entry: str, private: bytes, identity: Path) -> dict:
    plain = subprocess.run(["age", "--decrypt", "-i", identity], input=private, capture_output=True, check=True).stdout
    part = json.loads(plain)
    statement = base64.b64decode(next(o["value"] for o in part["openings"] if o["name"] == "agent-statement")).decode()
    need(statement == part["content"]["statement"], "the statement is another one than was committed to")
    kept = part["content"]["consensus"]
    document = gzip.decompress(base64.b64decode(kept["gzip"]))
    sha256 = hashlib.sha256(document).hexdigest()
    need(f"\nconsensus sha256:{sha256}\n" in statement, "the agent signed for another consensus")
    listed = "".join(f"{name}\n" for name in kept["authorities"])
    authorities = hashlib.sha256(listed.encode()).hexdigest()
    need(f"\nauthorities sha256:{authorities}\n" in statement, "the agent signed for other authorities")
    text = document.decode()
    need(text.startswith("network-status-version 3 microdesc\n"), "no consensus")
    valid_after = re.search(r"\nvalid-after (.{19})\n", text)[1]
    end = text.index("\ndirectory-signature ") + len("\ndirectory-signature ")
    digest = hashlib.sha256(text[:end].encode()).digest()
    known = keys(kept["certificates"], valid_after)
    pattern = r"directory-signature sha256 (\w{40}) (\w{40})\n(-----BEGIN SIGNATURE-----\n.*?-----END SIGNATURE-----)\n"
    names = set()
    for name, key, signature in re.findall(pattern, text, re.S):
        if (name, key) in known and name in kept["authorities"]:
            if signed(known[name, key], objects(signature, "SIGNATURE")[0], digest):
                names.add(name)
    need(2 * len(names) > len(kept["authorities"]), "not signed by more than half of the authorities")
    recorded = re.search(r"\ntime (\S+)\n", entry)[1]
    return {
        "session": re.search(r"\nsession (\w+)\n", entry)[1],
        "recorded": recorded,
        "not_before": valid_after.replace(" ", "T") + "Z",
        "consensus_sha256": sha256,
        "signed": len(names),
        "authorities": len(kept["authorities"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the Tor consensus of each session.")
    parser.add_argument("store", type=Path, metavar="DIR")
    parser.add_argument("--identity", type=Path, metavar="FILE", required=True)
    options = parser.parse_args()
    opened = [frame for frame in frames(options.store) if "\nkind session-open\n" in frame[0]]
    print(json.dumps([check(entry, private, options.identity) for entry, private in opened]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
