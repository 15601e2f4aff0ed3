"""A second reader of what a log and its witnesses hand out, written from the C2SP texts signed-note,
tlog-checkpoint, tlog-cosignature, tlog-tiles and tlog-proof: Python's standard library and `openssl`, no code
of Vigie.

    witness_check.py note  CHECKPOINT  --log VKEY [--witness VKEY ...]
    witness_check.py proof PROOF ENTRY --log VKEY [--witness VKEY ...]
    witness_check.py tiles DIR         --log VKEY [--older CHECKPOINT ...]

Prints one line of JSON; exits 0 when all holds, else 5. A cosignature of a witness that is named must hold; at least
one must be there when any is named."""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# SubjectPublicKeyInfo of Ed25519 (RFC 8410 section 4) up to the key.
SPKI = bytes.fromhex("302a300506032b6570032100")
NUMBER = re.compile(r"(?:0|[1-9][0-9]*)")


class Bad(ValueError):
    """Something does not hold; the text tells what."""


def need(condition: object, what: str) -> None:
    if not condition:
        raise Bad(what)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def decoded(text: str, length: int | None = None) -> bytes:
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, f"not the one spelling in base64: {text}")
    need(length is None or len(data) == length, f"not {length} bytes: {text}")
    return data


def number(text: str) -> int:
    need(NUMBER.fullmatch(text), f"not a number in its one spelling: {text}")
    return int(text)


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "key").write_bytes(SPKI + key)
        (place / "message").write_bytes(message)
        (place / "signature").write_bytes(signature)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin"]
        command += ["-in", "message", "-sigfile", "signature"]
        return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


class Key:
    """A verifier key: `name+hash+base64(type || key)`."""

    def __init__(self, vkey: str, kind: int):
        self.name, hashed, packed = vkey.split("+", 2)
        data = decoded(packed, 33)
        need(data[0] == kind, f"{self.name}: a key of type {data[0]}, not {kind}")
        self.key, self.id = data[1:], sha256(self.name.encode() + b"\n" + data)[:4]
        need(self.id.hex() == hashed, f"{self.name}: another key hash")


class Note:
    """A signed note."""

    def __init__(self, note: str):
        text, blank, lines = note.rpartition("\n\n")
        need(blank and lines.endswith("\n"), "not a signed note")
        self.text, self.lines = text + "\n", []
        for line in lines[:-1].split("\n"):
            dash, name, packed = line.split(" ")
            need(dash == "\u2014", f"not a signature: {line}")
            data = decoded(packed)
            self.lines.append((name, data[:4], data[4:]))

    def of(self, key: Key) -> list[bytes]:
        return [signature for name, key_id, signature in self.lines if name == key.name and key_id == key.id]


class Head:
    """A checkpoint: signed by the log, and cosigned by the witnesses that are named."""

    def __init__(self, note: str, log: Key, witnesses: list[Key]):
        parsed = Note(note)
        own = parsed.of(log)
        need(len(own) == 1 and signed(log.key, parsed.text.encode(), own[0]), "the log did not sign this checkpoint")
        origin, size, root, end = parsed.text.split("\n")
        need(origin == log.name and end == "", "a checkpoint of another log")
        self.size, self.root, self.times = number(size), decoded(root, 32), {}
        for witness in witnesses:
            for signature in parsed.of(witness):
                time = int.from_bytes(signature[:8], "big")
                message = f"cosignature/v1\ntime {time}\n{parsed.text}".encode()
                need(signed(witness.key, message, signature[8:]), f"the cosignature of {witness.name} does not hold")
                self.times[witness.name] = time
        need(self.times or not witnesses, "no witness that is named cosigned this checkpoint")

    def told(self) -> dict:
        return {"size": self.size, "root": self.root.hex(), "cosigned": self.times}


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry)


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + root_of(leaves[:k]) + root_of(leaves[k:]))


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162 section 2.1.3.2)."""
    if index >= size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = sha256(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


def check_proof(proof: str, entry: bytes, log: Key, witnesses: list[Key]) -> dict:
    lines, blank, checkpoint = proof.partition("\n\n")
    format_, *rest = lines.split("\n")
    need(format_ == "c2sp.org/tlog-proof@v1" and blank, "not a proof")
    if rest and rest[0].startswith("extra "):
        rest.pop(0)
    need(rest and rest[0].startswith("index "), "a proof without an index")
    index = number(rest[0].removeprefix("index "))
    head = Head(checkpoint, log, witnesses)
    reached = included(leaf_hash(entry), index, head.size, [decoded(line, 32) for line in rest[1:]])
    need(reached == head.root, "the entry is not where the proof says")
    return head.told() | {"index": index}


def tile_path(level: str, index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < 256 else "")


def check_tiles(folder: Path, log: Key, older: list[Path]) -> dict:
    head = Head((folder / "checkpoint").read_text(encoding="utf-8"), log, [])
    expected, leaves = {"checkpoint"}, []
    for first in range(0, head.size, 256):
        width = min(256, head.size - first)
        path = tile_path("entries", first // 256, width)
        expected.add(path)
        bundle, entries = (folder / path).read_bytes(), []
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            need(len(bundle) >= 2 + length, f"{path} ends in an entry")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        need(len(entries) == width, f"{path} holds {len(entries)} entries, not {width}")
        leaves += map(leaf_hash, entries)
    need(root_of(leaves) == head.root, "the entries are not those that the checkpoint covers")
    hashes, level = leaves, 0
    while hashes:
        for first in range(0, len(hashes), 256):
            tile = hashes[first : first + 256]
            path = tile_path(str(level), first // 256, len(tile))
            expected.add(path)
            need((folder / path).read_bytes() == b"".join(tile), f"{path} is not what the entries make")
        full = range(0, len(hashes) - 255, 256)
        hashes, level = [root_of(hashes[first : first + 256]) for first in full], level + 1
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    need(found == expected, f"other files than a log of {head.size} entries has: {sorted(found ^ expected)}")
    for file in older:
        before = Head(file.read_text(encoding="utf-8"), log, [])
        need(before.size <= head.size, f"{file}: the log lost entries")
        need(root_of(leaves[: before.size]) == before.root, f"{file}: the log was rewritten")
    return head.told() | {"files": len(found), "older": len(older)}


def main() -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name, files in (("note", ["file"]), ("proof", ["file", "entry"]), ("tiles", ["file"])):
        command = commands.add_parser(name)
        for file in files:
            command.add_argument(file, type=Path)
        command.add_argument("--log", required=True)
        command.add_argument("--witness", action="append", default=[])
        command.add_argument("--older", action="append", default=[], type=Path)
    args = parser.parse_args()
    try:
        log, witnesses = Key(args.log, 1), [Key(vkey, 4) for vkey in args.witness]
        if args.command == "note":
            told = Head(args.file.read_text(encoding="utf-8"), log, witnesses).told()
        elif args.command == "proof":
            told = check_proof(args.file.read_text(encoding="utf-8"), args.entry.read_bytes(), log, witnesses)
        else:
            told = check_tiles(args.file, log, args.older)
    except (ValueError, OSError) as fault:
        print(json.dumps({"fault": str(fault)}))
        return 5
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
