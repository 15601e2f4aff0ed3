"""A second reader of a store, written from store/FORMAT.md: Python's standard library and the stock programs
`age` and `openssl`, no code of Vigie. Two readers that agree leave less room for one fault in both.

    second_reader.py DIR [--identity FILE] [--tmp DIR]

Prints one line of JSON; exits 0 when the store is sound up to its signed head, else 5. What is sealed to others
than the identity is no problem; `opened` counts the exhibits that did open. Holds one exhibit in memory."""

import argparse
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO

NUMBER, HASH, NAME = r"(?:0|[1-9][0-9]{0,19})", r"[0-9a-f]{64}", r"[a-z0-9-]{1,32}"
KIND = (
    "init|session-open|session-close|heartbeat|mandate-imported|mandate-revoked|profile-created|profile-session"
    "|exhibit|refusal|failure|read|search|export|share|witness|timestamp|erasure|rebuild|recovery|unlock|lock|hold"
    "|corroboration|handover|clock-jump|restore-accepted|passphrase|descriptor|profile-key|finding|annotation"
)
ENTRY = re.compile(
    rf"vigie\.entry/1\nseq (?P<seq>{NUMBER})\nkind (?P<kind>{KIND})\n"
    r"time (?P<time>(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z)\n"
    rf"mono (?P<mono>{NUMBER})\nboot [0-9A-Za-z-]{{1,64}}\nclock (?:synchronised|unsynchronised|unknown)\n"
    rf"(?:mandate (?P<mandate>{HASH})\n)?(?:session [0-9a-f]{{32}}\n)?(?:exhibit (?P<exhibit>{NUMBER})\n)?"
    rf"(?:age (?P<age>{HASH} {NUMBER})\n)?(?:private (?P<private>{HASH} {NUMBER})\n)?prev (?P<prev>{HASH})\n"
    rf"(?P<digests>(?:digest {NAME} {HASH}\n){{0,64}})(?P<commits>(?:commit {NAME} {HASH}\n){{0,64}})"
)
# SubjectPublicKeyInfo of Ed25519 (RFC 8410 section 4) up to the key.
SPKI = bytes.fromhex("302a300506032b6570032100")


class Bad(ValueError):
    """Something is not what the format says; the text tells what."""


FAULTS = (ValueError, KeyError, TypeError, AttributeError, OSError, zlib.error)


def need(condition: object, what: str) -> None:
    if not condition:
        raise Bad(what)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


CRC32C = list(range(256))
for _ in range(8):
    CRC32C = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in CRC32C]


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def unbase64(text: str) -> bytes:
    """Standard base64 in its one spelling."""
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another spelling")
    return data


def parse(raw: bytes) -> tuple[re.Match[str], dict[str, str], dict[str, str]]:
    """An entry in its one encoding; its digests and its commitments by name."""
    if (match := ENTRY.fullmatch(raw.decode("ascii", "replace"))) is None:
        raise Bad("the entry is not in the grammar")
    # Python's calendar has no year 0, which is a leap year as 2000 is.
    date(int(match["year"]) or 2000, int(match["month"]), int(match["day"]))
    need(match["time"] <= "9999-12-30T22:00:00.999999999Z" and int(match["mono"]) < 1 << 64, "a time beyond its limit")
    lists = [[line.split() for line in match[group].splitlines()] for group in ("digests", "commits")]
    for names in ([words[1] for words in lines] for lines in lists):
        need(names == sorted(set(names)), "names in the entry are not sorted or not distinct")
    together = {match["exhibit"] is not None, match["age"] is not None, match["kind"] == "exhibit"}
    need(len(together) == 1, "kind exhibit, exhibit and age do not go together")
    digests, commits = ({name: digest for _, name, digest in lines} for lines in lists)
    return match, digests, commits


def log_key(folder: Path) -> tuple[bytes, str, bytes]:
    """Id and origin of the store, key of its log."""
    text = (folder / "store.txt").read_bytes().decode("ascii", "replace")
    facts = re.fullmatch(r"vigie\.store/1\nid ([0-9a-f]{32})\norigin ([!-*,-~]{1,255})\nscrypt ([1-9][0-9]?)\n", text)
    if facts is None or int(facts[3]) > 22:
        raise Bad("store.txt is not of the format vigie.store/1")
    origin = facts[2]
    vkey = (folder / "log.vkey").read_bytes().decode("ascii", "replace")
    key = unbase64(vkey.removesuffix("\n").split("+", 2)[-1])
    key_id = sha256(origin.encode() + b"\n" + key)[:4]
    expected = f"{origin}+{key_id.hex()}+{base64.b64encode(key).decode()}\n"
    need(vkey == expected and len(key) == 33 and key[0] == 1, "log.vkey is not the verifier key of this log")
    return bytes.fromhex(facts[1]), origin, key


def signed_head(data: bytes, origin: str, key: bytes, tmp: str | None) -> tuple[int, bytes]:
    """Size and root that the log's key signed (C2SP signed-note, tlog-checkpoint)."""
    text, key_id = data.decode("utf-8", "replace"), sha256(origin.encode() + b"\n" + key)[:4]
    body, blank, lines = text.partition("\n\n")
    need(blank and lines.endswith("\n") and len(text) <= 1 << 16, "the checkpoint is not a signed note")
    signed = [line.split(" ") for line in lines[:-1].split("\n")]
    need(all(len(words) == 3 and words[0] == "\u2014" for words in signed), "a signature line is malformed")
    own = [words for words in signed if words[1] == origin and unbase64(words[2])[:4] == key_id]
    need(len(own) == 1, "the checkpoint has not one signature of the log")
    with tempfile.TemporaryDirectory(dir=tmp) as at:
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]
        files = {"-inkey": SPKI + key[1:], "-in": f"{body}\n".encode(), "-sigfile": unbase64(own[0][2])[4:]}
        for option, data in files.items():
            Path(at, option).write_bytes(data)
            command += [option, str(Path(at, option))]
        result = subprocess.run(command, capture_output=True, check=False)
    need(result.returncode == 0, "the checkpoint's signature does not verify")
    match = re.fullmatch(rf"([^\n]+)\n({NUMBER})\n([^\n]+)", body)
    if match is None or match[1] != origin or not 0 < int(match[2]) < 1 << 64 or len(unbase64(match[3])) != 32:
        raise Bad("the checkpoint is not origin, size and root")
    return int(match[2]), unbase64(match[3])


def stamped(files: dict[str, bytes], time: str, tmp: str | None) -> None:
    """Stock openssl takes the stamp, at its own time."""
    with tempfile.TemporaryDirectory(dir=tmp) as at:
        for name, data in files.items():
            Path(at, name).write_bytes(data)
        verify = ["openssl", "ts", "-verify", "-in", "response", "-CAfile", "root", "-untrusted", "certificates"]
        for over in (["-data", "checkpoint"], ["-queryfile", "request"]):
            result = subprocess.run([*verify, *over, "-attime", time], cwd=at, capture_output=True, check=False)
            need(result.returncode == 0, "openssl does not take its time stamp")


def stamp_time(response: bytes) -> str:
    """The stamp's time as Unix time, whole seconds."""
    command = ["openssl", "ts", "-reply", "-in", "/dev/stdin", "-text"]
    text = subprocess.run(command, input=response, capture_output=True, check=False).stdout.decode("utf-8", "replace")
    if (match := re.search(r"^Time stamp: (.*?:[0-9]{2})(?:\.[0-9]+)? ([0-9]{4}) GMT$", text, re.MULTILINE)) is None:
        raise Bad("its time stamp names no time")
    time = datetime.strptime(f"{match[1]} {match[2]}", "%b %d %H:%M:%S %Y")
    return str(int(time.replace(tzinfo=timezone.utc).timestamp()))


def warc(data: bytes) -> None:
    """Checks a .warc.gz: a gzip member for each record."""
    count = 0
    while data or not count:
        member, count = zlib.decompressobj(wbits=31), count + 1
        record(member.decompress(data), f"WARC record {count}: ")
        need(member.eof, f"WARC record {count}: its gzip member is cut off")
        data = member.unused_data


def record(member: bytes, at: str) -> None:
    head, blank, rest = member.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    need(blank and first == "WARC/1.1", at + "no WARC/1.1 header")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    for name in ("warc-type", "warc-record-id", "warc-date", "warc-block-digest", "content-length"):
        need(sum(key == name for key, _ in pairs) == 1, f"{at}not one {name}")
    fields = dict(pairs)
    need(re.fullmatch("[0-9]+", fields["content-length"]), at + "Content-Length is not a number")
    length = int(fields["content-length"])
    block = rest[:length]
    need(len(block) == length and rest[length:] == b"\r\n\r\n", at + "Content-Length does not fit")
    need(fields["warc-block-digest"] == f"sha256:{sha256(block).hex()}", at + "WARC-Block-Digest is another")
    # The payload of a revisit lies in another exhibit; other types claim none.
    if fields["warc-type"] in ("response", "resource") and "warc-payload-digest" in fields:
        found = payload(block) if fields.get("content-type", "").startswith("application/http") else block
        need(fields["warc-payload-digest"] == f"sha256:{sha256(found).hex()}", at + "WARC-Payload-Digest is another")


def payload(block: bytes) -> bytes:
    """The body without its transfer coding (RFC 9112 section 7.1), as far as the bytes go."""
    status, head = b"100", b""
    while re.fullmatch(rb"1(?!01)..", status):  # interim responses come before the one that counts
        head, _, block = re.sub(rb"\r?\n\r?\n", b"\n\n", block, count=1).partition(b"\n\n")
        status = (head.split(None, 2) + [b"", b""])[1]
    if status in (b"204", b"304"):
        return b""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\n") if b":" in line)
    if not fields.get(b"transfer-encoding", b"").strip().endswith(b"chunked"):
        limit = fields.get(b"content-length", b"").strip()
        return block[: int(limit)] if limit.isdigit() else block
    chunk, end, data, at = re.compile(rb"[ \t]*([0-9a-fA-F]+)[ \t]*(?:;[^\n]*)?\r?\n"), re.compile(rb"\r?\n"), b"", 0
    while (size := chunk.match(block, at)) and (length := int(size[1], 16)):
        data += block[size.end() : size.end() + length]
        line_end = end.match(block, size.end() + length)
        at = line_end.end() if line_end else len(block)
    return data


def decrypt(sealed: bytes, identity: Path, what: str) -> bytes | None:
    """Stock age, through pipes: no plaintext reaches the disk. `None` when it is sealed to others."""
    result = subprocess.run(["age", "--decrypt", "-i", identity], input=sealed, capture_output=True, check=False)
    said = result.stderr.decode("utf-8", "replace").strip()
    other = "no identity matched" in said
    need(result.returncode == 0 or other, f"{what} does not open: {said}")
    return None if other else result.stdout


def inside(commits: dict[str, str], exhibit: bytes, private: bytes, identity: Path) -> bool:
    """Private part, commitments, exhibit; true when there is an exhibit and it opened."""
    plain = decrypt(private, identity, "its private part") if private else None
    part: dict[str, Any] = {}
    values: dict[str, bytes] = {}
    if plain is not None:
        part = json.loads(plain)
        need(part.get("format") == "vigie.private/1", "its private part is of another format")
        for opening in part["openings"]:
            name, value = opening["name"], unbase64(opening["value"])
            salted = sha256(bytes.fromhex(opening["salt"]) + value)
            need(commits.get(name) == salted.hex() and name not in values, f"the commitment {name} does not open")
            values[name] = value
        need(values.keys() == commits.keys(), "its private part does not open every commitment")
    data = decrypt(exhibit, identity, "its exhibit") if exhibit else None
    if data is not None:
        said = {"sha256": sha256(data).hex(), "bytes": len(data)}
        need(part.get("exhibit") == said, "its exhibit does not hold what its private part says")
        need(values.get("plaintext") == sha256(data), "its exhibit does not hold what it commits to")
        warc(data)
    return data is not None


@dataclass
class Walk:
    """Goes from frame to frame. `peaks` are the roots of the complete subtrees so far, largest first."""

    folder: Path
    identity: Path | None
    size: int = 0
    exhibits: int = 0
    opened: int = 0
    time: str = ""
    previous: bytes = bytes(32)
    peaks: list[bytes] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    holes: list[tuple[str | None, int]] = field(default_factory=list)
    erasures: list[tuple[str | None, int]] = field(default_factory=list)
    heads: dict[int, list[tuple[bytes, str]]] = field(default_factory=dict)
    stamps: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    stamped: int = 0

    def load_heads(self, origin: str, key: bytes, tmp: str | None) -> None:
        """Heads that left for stamping: root and name by size."""
        for file in sorted((self.folder / "timestamps").glob("*.checkpoint")):
            try:
                size, root = signed_head(file.read_bytes(), origin, key, tmp)
                self.heads.setdefault(size, []).append((root, file.name))
            except FAULTS as error:
                self.problems.append(f"{file.name}: {error}")

    def judge_stamps(self, tmp: str | None) -> None:
        """Every head is one of this log, and every stamp that an entry names holds."""
        late = [name for size, heads in self.heads.items() if size > self.size for _, name in heads]
        self.problems += [f"{name} is over more entries than the log has" for name in late]
        lying = [file for file in (self.folder / "timestamps").glob("*") if file.is_file()]
        found = {sha256(data).hex(): data for data in (file.read_bytes() for file in lying)}
        fixed: set[str] = set()
        for sequence, digests in self.stamps:
            try:
                files = {name: found[digest] for name, digest in digests.items()}
                if digests.keys() == {"root"}:
                    fixed.add(digests["root"])
                    continue
                names = {"certificates", "checkpoint", "request", "response", "root"}
                need(digests.keys() == names and digests["root"] in fixed, "its time stamp is not bound as it should be")
                covers = int(files["checkpoint"].decode("utf-8", "replace").split("\n")[1])
                need(covers in self.heads and covers <= sequence, "its time stamp covers entries behind it")
                stamped(files, stamp_time(files["response"]), tmp)
                self.stamped += 1
            except FAULTS as error:
                self.problems.append(f"entry {sequence}: {error}")

    def judge_holes(self) -> None:
        """A hole needs an erasure under its mandate, later in the log."""
        for mandate, sequence in self.holes:
            if not any(of == mandate is not None and at > sequence for of, at in self.erasures):
                self.problems.append(f"entry {sequence}: its bytes are gone, and no entry says that they were erased")

    def root(self) -> bytes:
        """RFC 6962 section 2.1."""
        root = self.peaks[-1] if self.peaks else sha256(b"")
        for left in self.peaks[-2::-1]:
            root = sha256(b"\1" + left + root)
        return root

    def frames(self, store: bytes, size: int) -> None:
        """Every frame that the signed head covers."""
        files = (self.folder / "segments").iterdir()
        need(all(re.fullmatch(r"[0-9]{8,}\.seg", file.name) for file in files), "segments/ holds another file")
        index = 0
        while self.size < size:
            with open(self.folder / "segments" / f"{index:08}.seg", "rb") as segment:
                expected = b"vigieSG1" + store + index.to_bytes(8) + self.size.to_bytes(8)
                need(segment.read(44) == expected + crc32c(expected).to_bytes(4), f"header of segment {index}")
                while self.size < size and (head := segment.read(44)):
                    self.frame(segment, head)
            index += 1

    def frame(self, segment: BinaryIO, head: bytes) -> None:
        need(len(head) == 44 and crc32c(head[:40]) == int.from_bytes(head[40:]), "frame header: cut off, or CRC32C")
        magic, sequence, exhibit_len, entry_len, private_len, local_len, zero = unpack(">8sQQIIII", head[:40])
        need((magic, zero, sequence) == (b"vigieFR1", 0, self.size), "frame header: magic, zeros or sequence")
        lengths = entry_len, exhibit_len, private_len, local_len, 120
        sane = 0 < entry_len < 1 << 16 and exhibit_len <= 1 << 40 and private_len <= 1 << 24 and local_len <= 1 << 24
        need(sane, "frame header: a length is beyond its limit")
        need(sum(lengths) <= os.fstat(segment.fileno()).st_size - segment.tell(), "the segment ends within the frame")
        raw, *parts, foot = map(segment.read, lengths)
        crc = crc32c(head + raw + foot[:116])
        need(foot[:8] == b"vigieFE1" and crc == int.from_bytes(foot[116:]), "frame footer: magic or CRC32C")
        entry, digests, commits = parse(raw)
        # What was erased reads as zeros; whether a later entry orders it is judged at the end.
        hole = exhibit_len + private_len > 0 and not any(parts[0]) and not any(parts[1])
        if hole:
            self.holes.append((entry["mandate"], sequence))
        first = 2 if hole else 0
        hashes = b"".join(map(sha256, parts[first:]))
        need(foot[8 + 32 * first : 104] == hashes, "a part is not the one that was logged (SHA-256)")
        checks = tuple(map(crc32c, parts[first:]))
        need(unpack(">III", foot[104:116])[first:] == checks, "a part is not the one logged (CRC32C)")
        follows = entry["seq"] == str(sequence) and entry["prev"] == self.previous.hex()
        need(follows and entry["time"] >= self.time, "it does not follow the entry before (sequence, chain, time)")
        digest = foot[8:40].hex(), foot[40:72].hex()
        said = [f"{sha} {len(part)}" if part else None for sha, part in zip(digest, parts)]
        need([entry["age"], entry["private"]] == said, "entry and parts do not agree")
        need(entry["exhibit"] in (None, str(self.exhibits + 1)), "exhibits are not numbered one by one")
        if entry["kind"] == "erasure":
            self.erasures.append((entry["mandate"], sequence))
        if sequence == 0:
            files = {"allowed-signers": "allowed_signers", "log-vkey": "log.vkey", "store": "store.txt"}
            found = {name: sha256((self.folder / file).read_bytes()).hex() for name, file in files.items()}
            binds = entry["kind"] == "init" and found.items() <= digests.items()
            need(binds, "a file is not the one that entry 0 binds")
        node, trailing = sha256(b"\0" + raw), self.size
        while trailing & 1:
            node, trailing = sha256(b"\1" + self.peaks.pop() + node), trailing >> 1
        self.peaks.append(node)
        self.size, self.time, self.previous = self.size + 1, entry["time"], sha256(head + raw + foot)
        self.exhibits += entry["exhibit"] is not None
        if entry["kind"] == "timestamp":
            self.stamps.append((sequence, digests))
        other = [name for root, name in self.heads.get(self.size, []) if root != self.root()]
        self.problems += [f"{name} was signed over other entries" for name in other]
        try:
            readable = self.identity is not None and not hole
            self.opened += readable and inside(commits, parts[0], parts[1], self.identity)
        except FAULTS as error:  # the frame itself holds, so the walk goes on
            self.problems.append(f"entry {sequence}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks a store without any code of Vigie.")
    parser.add_argument("store", type=Path, metavar="DIR")
    parser.add_argument("--identity", type=Path, metavar="FILE", help="age identity of a recipient")
    parser.add_argument("--tmp", metavar="DIR", help="where temporary files may lie")
    options = parser.parse_args()
    walk = Walk(options.store, options.identity)
    try:
        store, origin, key = log_key(options.store)
        walk.load_heads(origin, key, options.tmp)
        size, root = signed_head((options.store / "checkpoint").read_bytes(), origin, key, options.tmp)
        walk.frames(store, size)
        walk.judge_holes()
        walk.judge_stamps(options.tmp)
        need(walk.root() == root, "the root of the entries is not the signed one")
    except FAULTS as error:
        walk.problems.append(f"after {walk.size} entries: {error}")
    found = {"entries": walk.size, "exhibits": walk.exhibits, "root": walk.root().hex(), "opened": walk.opened}
    print(json.dumps({**found, "stamps": walk.stamped, "problems": walk.problems}, ensure_ascii=False))
    return 5 if walk.problems else 0


if __name__ == "__main__":
    sys.exit(main())
