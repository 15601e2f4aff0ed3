#!/usr/bin/env python3
"""Did the holder of an onion service's key sign this descriptor?

    python3 check_descriptor.py part.json
    python3 check_descriptor.py DESCRIPTOR ADDRESS.onion NUMBER LENGTH OFFSET TIME

part.json is the opened private part of a log entry of kind `descriptor`. In the second form DESCRIPTOR is
the raw text; NUMBER, LENGTH (minutes) and OFFSET (seconds) are the time period; TIME is when it was fetched,
2026-11-24T02:14:00Z. On the public network LENGTH is 1440 and OFFSET 43200.

Needs Python 3.9 or newer and nothing else. It shares no code with Vigie or Tor and follows the Tor
specifications (rend-spec-v3: addresses, appendix A.2, outer wrapper; cert-spec; RFC 8032):

 1. The address holds the service's public key A, and its checksum holds.
 2. The time of the fetch lies in the period.
 3. The key A' for the period is computed from A and the period.
 4. The certificate in the descriptor names A', is signed by A', and had not expired.
 5. The key that it certifies signed the descriptor.

If all hold it prints HOLDS and ends with 0, else DOES NOT HOLD with the reason and 1.
It shows that someone who controls the service's key signed these bytes for this period. It does not show
when within the period they were made, who that is, or what any page said.
"""

import base64
import hashlib
import json
import sys
from datetime import datetime, timezone

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960


class Fault(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Fault(what)


# --- The curve edwards25519, points as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z ---


def point(x, y):
    return (x, y, 1, x * y % P)


NEUTRAL = (0, 1, 1, 0)
BASE = point(BASE_X, BASE_Y)


def plus(one, two):
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, what):
    result = NEUTRAL
    for bit in bin(number)[2:]:
        result = plus(result, result)
        if bit == "1":
            result = plus(result, what)
    return result


def same(one, two):
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 and (one[1] * two[2] - two[1] * one[2]) % P == 0


def pack(what):
    inverse = pow(what[2], -1, P)
    x, y = what[0] * inverse % P, what[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def unpack(data):
    need(len(data) == 32, "a key of another length")
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    need(y < P, "a key that is not written in the one right way")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    need((x * x - square) % P == 0, "a key that is no point of the curve")
    need(x or not sign, "a key that is not written in the one right way")
    return point(P - x if x & 1 != sign else x, y)


def signed(key, message, signature):
    """RFC 8032, section 5.1.7, without points of small order."""
    if len(signature) != 64:
        return False
    try:
        a, r = unpack(key), unpack(signature[:32])
    except Fault:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L or same(times(8, a), NEUTRAL) or same(times(8, r), NEUTRAL):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return same(times(s, BASE), plus(r, times(k, a)))


# --- Tor ---


def address_key(address):
    need(address.endswith(".onion") and len(address) == 62, "not a version 3 onion address")
    need(address == address.lower(), "an address that is not in lower case")
    try:
        raw = base64.b32decode(address[:56].upper())
    except ValueError:
        raise Fault("not a version 3 onion address") from None
    key, checksum, version = raw[:32], raw[32:34], raw[34:]
    need(version == b"\x03", "not a version 3 onion address")
    need(hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2] == checksum, "the address's checksum")
    need(same(times(L, unpack(key)), NEUTRAL) and not same(unpack(key), NEUTRAL), "no usable key in the address")
    return key


def blinded(key, number, length):
    text = b"Derive temporary signing key\0" + key + f"({BASE_X}, {BASE_Y})".encode()
    text += b"key-blind" + number.to_bytes(8, "big") + length.to_bytes(8, "big")
    factor = int.from_bytes(hashlib.sha3_256(text).digest(), "little")
    factor = factor & (2**254 - 8) | 2**254
    return pack(times(factor, unpack(key)))


def unbase64(text, what):
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise Fault(what) from None


def read(raw):
    """Certificate, revision, lifetime, signed bytes and signature of the outer wrapper."""
    need(len(raw) <= 256 * 1024, "a descriptor over 256 KiB")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Fault("a descriptor that is not text") from None
    need("\r" not in text and "\0" not in text and text.endswith("\n"), "the lines of the descriptor")
    items, position, object_name, packed = [], 0, None, ""
    for line in text[:-1].split("\n"):
        start, position = position, position + len(line.encode()) + 1
        if object_name:
            if line.startswith("-----END "):
                need(line == f"-----END {object_name}-----", "an object with another end")
                items[-1][3] = (object_name, unbase64(packed.rstrip("="), "the base64 of an object"))
                object_name = None
            else:
                packed += line
        elif line.startswith("-----BEGIN ") and line.endswith("-----"):
            need(items and items[-1][3] is None, "an object alone")
            object_name, packed = line[11:-5], ""
        else:
            words = line.split()
            need(words and line.startswith(words[0]), "an empty line, or one without keyword")
            items.append([words[0], words[1:], start, None])
    need(object_name is None, "an object without end")

    def one(keyword):
        found = [item for item in items if item[0] == keyword]
        need(len(found) == 1, f"not exactly one {keyword}")
        return found[0]

    def count(keyword):
        words = one(keyword)[1]
        need(words and words[0].isascii() and words[0].isdigit(), keyword)
        return int(words[0])

    need(items[0][:2] == ["hs-descriptor", ["3"]] and one("hs-descriptor"), "the first line of the descriptor")
    certificate, last = one("descriptor-signing-key-cert"), one("signature")
    need(certificate[3] and certificate[3][0] == "ED25519 CERT", "the certificate")
    need((one("superencrypted")[3] or [""])[0] == "MESSAGE", "the encrypted part")
    need(last is items[-1] and last[1] and last[3] is None, "a signature that is not the last line")
    need(30 <= count("descriptor-lifetime") <= 720, "the lifetime")
    signature = unbase64(last[1][0], "the signature")
    return certificate[3][1], count("revision-counter"), count("descriptor-lifetime"), raw[: last[2]], signature


def certificate(raw):
    """Certified key, key that signed, expiry, signed bytes and signature (cert-spec)."""
    need(len(raw) >= 104 and raw[:2] == b"\x01\x08" and raw[6] == 1, "a certificate of another version or type")
    expires = int.from_bytes(raw[2:6], "big") * 3600
    body, signature = raw[:-64], raw[-64:]
    rest, named = body[40:], []
    for _ in range(body[39]):
        need(len(rest) >= 4, "an extension of the certificate")
        length, kind, flags = int.from_bytes(rest[:2], "big"), rest[2], rest[3]
        need(len(rest) >= 4 + length, "an extension of the certificate")
        data, rest = rest[4 : 4 + length], rest[4 + length :]
        if kind == 4:
            need(length == 32, "the key that signed the certificate")
            named.append(data)
        else:
            need(not flags & 1, "an extension that must be known")
    need(not rest and len(named) == 1, "the extensions of the certificate")
    return body[7:39], named[0], expires, body, signature


def check(raw, address, number, length, offset, fetched):
    key = address_key(address)
    need(0 < length <= 14400 and 0 <= offset <= 12 * 86400 and 0 <= number < 2**63, "no period of a Tor network")
    begin = number * length * 60 + offset
    end = begin + length * 60
    # A client goes on with a period while its consensus holds: 3 of 24 parts. 600 s are for clocks.
    need(begin - 600 <= fetched < end + length * 60 // 8 + 600, "not fetched in that time period")
    period_key = blinded(key, number, length)
    cert, revision, lifetime, body, signature = read(raw)
    signing_key, named, expires, cert_body, cert_signature = certificate(cert)
    need(named == period_key, "its certificate names another key than the onion's for this period")
    need(signed(period_key, cert_body, cert_signature), "the onion's key did not sign its certificate")
    need(fetched <= expires, "its certificate had expired")
    prefix = b"Tor onion service descriptor sig v3"
    need(signed(signing_key, prefix + body, signature), "the certified key did not sign these bytes")
    return {
        "sha256": hashlib.sha256(raw).hexdigest(),
        "blinded_key": period_key.hex(),
        "revision": revision,
        "lifetime_minutes": lifetime,
        "certified_until": utc(expires),
        "period": f"{utc(begin)} to {utc(end)}",
    }


def utc(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())
    except ValueError:
        raise Fault("the time of the fetch") from None


def main(arguments):
    try:
        if len(arguments) == 1:
            with open(arguments[0], encoding="utf-8") as file:
                content = json.load(file)["content"]
            raw = base64.b64decode(content["descriptor"], validate=True)
            need(hashlib.sha256(raw).hexdigest() == content["sha256"], "another SHA-256 than the entry says")
            period = content["period"]
            numbers = (period["number"], period["length_minutes"], period["offset_seconds"])
            need(all(type(number) is int for number in numbers), "the period")
            found = check(raw, content["onion"], *numbers, seconds(content["fetched"]))
            need(found["blinded_key"] == content["blinded_key"], "another blinded key than the entry says")
        elif len(arguments) == 6:
            with open(arguments[0], "rb") as file:
                raw = file.read()
            found = check(raw, arguments[1], *map(int, arguments[2:5]), seconds(arguments[5]))
        else:
            sys.exit(__doc__)
    except Fault as fault:
        print(f"DOES NOT HOLD: {fault}")
        return 1
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        print(f"DOES NOT HOLD: it cannot be read ({error!r})")
        return 1
    print("HOLDS: whoever controls this onion's key signed these bytes for this time period")
    for name, value in found.items():
        print(f"  {name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
