"""The compiled loops: integer arithmetic in one fixed order, so that every processor agrees.

All numbers are int64 between array accesses, no sum can leave its range, shifts round down, and
there is no division: nothing is left to a compiler or a processor. `reference.py` is the same
arithmetic in plain Python.
"""

from __future__ import annotations

import contextlib

import numba
import numpy as np

from fewbits.codecs.text.mixing import state as st
from fewbits.codecs.text.mixing import tables
from fewbits.codecs.text.mixing.state import Constants, State

_M = 0xFFFFFFFF
_NPAIR = len(st.PAIRS)
_NSET = len(st.SETS)
_PA = tuple(a for a, _ in st.PAIRS)
_PB = tuple(b for _, b in st.PAIRS)
_OFFSETS = tuple(sum(st.SETS[:n]) for n in range(_NSET))
_ML0, _ML1 = st.MATCHES
_MOST_MATCH = 400
_LIMIT = 1000
_LOGIT = 2047
_WEIGHT = (1 << 24) - 1
_KIND = tables.kinds()
_FINE, _COARSE = tables.length_classes(_MOST_MATCH)


def _compiled(function):  # noqa: ANN001, ANN202
    """Compiled once for an installation, or once for a process where nothing can be written."""
    with contextlib.suppress(RuntimeError):
        return numba.njit(cache=True)(function)
    return numba.njit(function)


@numba.njit(inline="never")
def _hash(a, b):  # noqa: ANN001, ANN202
    x = (a * 0x2C1B3C6D + b * 0x1E3779B1 + 0x7F4A7C15) & _M
    x ^= x >> 15
    x = (x * 0x05EBCA6B) & _M
    return x ^ (x >> 13)


@numba.njit(inline="never")
def _find(table, total, where):  # noqa: ANN001, ANN202
    """Number of the bucket of a hash; the least used of four makes way for a new one."""
    check = np.int64(where >> 24)
    if check == 0:
        check = np.int64(1)
    first = ((where * 0x1E3779B1) & _M) >> 7 & (len(table) - 1)
    for k in range(4):
        bucket = first ^ k
        found = np.int64(table[bucket, 0])
        if found == check:
            return bucket
        if found == 0:
            table[bucket, 0] = check
            return bucket
    best = first
    least = np.int64(1000)
    for k in range(4):
        used = np.int64(total[table[first ^ k, 1]])
        if used < least:
            least = used
            best = first ^ k
    table[best, :] = 0
    table[best, 0] = check
    return best


@numba.njit(inline="never")
def _contexts(text, recent1, recent2, reg, h):  # noqa: ANN001, ANN202
    """Brings words, lines and the like up to date with the last byte; the contexts' hashes."""
    pos = reg[0]
    c1 = np.int64(text[pos - 1]) if pos >= 1 else np.int64(0)
    c2 = np.int64(text[pos - 2]) if pos >= 2 else np.int64(0)
    c3 = np.int64(text[pos - 3]) if pos >= 3 else np.int64(0)
    c4 = np.int64(text[pos - 4]) if pos >= 4 else np.int64(0)
    b4 = np.int64(0)
    for k in range(5, 9):
        if pos >= k:
            b4 |= np.int64(text[pos - k]) << (8 * (k - 5))
    a4 = c1 | c2 << 8 | c3 << 16 | c4 << 24
    kind = np.int64(_KIND[c1])
    lower = c1 + 32 if kind == 6 else c1
    in_word = kind == 1 or kind == 6
    # A Chinese, Japanese or Korean character is a word of its own.
    if (0xE3 <= lower <= 0xED) or (not in_word and reg[1] != 0):
        reg[3], reg[2], reg[1], reg[5] = reg[2], reg[1], 0, 0
    if in_word:
        reg[1] = _hash(reg[1] + 1, lower)
        reg[5] += 1
    if c1 == 10:
        reg[7], reg[6] = reg[6], pos
    column = pos - reg[6]
    above = np.int64(text[reg[7] + column]) if reg[7] + column < reg[6] else np.int64(0)
    if column == 1:
        reg[8] = c1
    if kind != reg[9] & 7:
        reg[9] = (reg[9] << 3 | kind) & _M
    recent1[c2] = (recent1[c2] << 8 | c1) & _M
    two = c3 << 8 | c2
    recent2[two] = (recent2[two] << 8 | c1) & _M
    word, word1, word2, kinds = reg[1], reg[2], reg[3], reg[9]
    apart = np.int64(0) if in_word else c1
    expected = np.int64(text[reg[10]]) + 1 if reg[12] > 0 else np.int64(0)
    length = min(reg[12], 15)
    h[0] = _hash(0, c1)
    h[1] = _hash(1, a4 & 0xFFFF)
    h[2] = _hash(2, a4 & 0xFFFFFF)
    h[3] = _hash(3, a4)
    h[4] = _hash(_hash(4, a4), b4 & 0xFFFF)
    h[5] = _hash(_hash(5, word), c1)
    h[6] = _hash(_hash(_hash(6, word), word1), apart)
    h[7] = _hash(_hash(7, word), kinds & 0xFFF)
    h[8] = _hash(_hash(8, a4), b4 & 0xFF)
    h[9] = _hash(_hash(9, a4), b4)
    h[10] = _hash(_hash(10, kinds), c1)
    h[11] = _hash(_hash(_hash(_hash(11, word), word1), word2), apart)
    h[12] = _hash(_hash(_hash(12, word), word2), apart)
    h[13] = _hash(13, c2 | c3 << 8)
    h[14] = _hash(14, c1 | c3 << 8 | c4 << 16)
    h[15] = _hash(_hash(15, recent1[c1] & 0xFFFF), c1)
    h[16] = _hash(_hash(16, recent2[c2 << 8 | c1] & 0xFFFF), c1)
    h[17] = _hash(_hash(17, above), c1 | reg[8] << 8)
    h[18] = _hash(_hash(18, expected), length | c1 << 8)
    h[19] = _hash(_hash(_hash(19, word), word1), kinds & 0x3FFFF)
    h[20] = _hash(_hash(20, recent1[c1] & 0xFFFFFF), word if in_word else c1 | c2 << 8)
    h[21] = _hash(_hash(21, a4), word1)


@numba.njit(inline="never")
def _matched(text, places, reg):  # noqa: ANN001, ANN202
    """After a byte: the match models go on, or look for a new place."""
    pos = reg[0]
    bits = np.int64(0)
    while (1 << bits) < places.shape[1]:
        bits += 1
    for m in range(2):
        need = np.int64(_ML0) if m == 0 else np.int64(_ML1)
        if reg[12 + m] > 0 and text[reg[10 + m]] == text[pos - 1]:
            reg[10 + m] += 1
            reg[12 + m] = min(reg[12 + m] + 1, 65535)
        else:
            reg[10 + m] = 0
            reg[12 + m] = 0
        if pos >= need:
            x = np.int64(0)
            for k in range(1, need + 1):
                x = ((x + np.int64(text[pos - k]) + 1) * 0x2F0B4C47) & _M
            x ^= x >> 16
            x = ((x * 0x1E3779B1) & _M) >> (32 - bits)
            if reg[12 + m] == 0:
                at = np.int64(places[m, x])
                length = np.int64(0)
                while length < _MOST_MATCH and length < at:
                    if text[at - 1 - length] != text[pos - 1 - length]:
                        break
                    length += 1
                if length >= need - 1:
                    reg[10 + m] = at
                    reg[12 + m] = length
            places[m, x] = pos


@_compiled
def prime(data, s, k):  # noqa: ANN001, ANN201
    """Lets the model's histories see bytes that are not coded."""
    text, buckets, recent1, recent2, places, order0, order1 = s[:7]
    reg = s.registers
    h = np.zeros(32, np.int64)
    n = buckets.shape[0]
    for number in range(len(data)):
        _contexts(text, recent1, recent2, reg, h)
        byte = np.int64(data[number])
        before = np.int64(text[reg[0] - 1]) if reg[0] > 0 else np.int64(0)
        for i in range(n):
            table = buckets[i]
            for half in range(2):
                nibble = byte >> 4 if half == 0 else byte & 15
                b = _find(table, k.total, _hash(h[i], 0 if half == 0 else byte >> 4 | 16))
                node = np.int64(1)
                for j in range(3, -1, -1):
                    y = nibble >> j & 1
                    table[b, node] = k.following[table[b, node], y]
                    node = node * 2 + y
        node = np.int64(1)
        for j in range(7, -1, -1):
            y = byte >> j & 1
            order0[node] += ((65535 * y) - order0[node]) >> 5
            at = before << 8 | node
            order1[at] += ((65535 * y) - order1[at]) >> 4
            node = node * 2 + y
        text[reg[0]] = byte
        reg[0] += 1
        _matched(text, places, reg)


@numba.njit(inline="never")
def _rate(coded):  # noqa: ANN001, ANN202
    """How fast the first mixers learn after so many bytes."""
    if coded < 20000:
        return np.int64(6)
    if coded < 200000:
        return np.int64(4)
    return np.int64(3) if coded < 600000 else np.int64(2)


@numba.njit(inline="never")
def _learn(maps, row, at, y, rates):  # noqa: ANN001, ANN202
    """Moves an adaptive map's entry towards a bit."""
    v = maps[row, at]
    count = v & 1023
    p = v >> 10
    p += (((y << 22) - p) * rates[count]) >> 16
    maps[row, at] = p << 10 | min(count + 1, _LIMIT)


@_compiled
def code(decoding, data, coded, s, k):  # noqa: ANN001, ANN201
    """Codes bytes, or decodes as many; returns how many bytes of `coded` are used.

    Args:
      decoding: whether `data` is written instead of read.
      data: UInt8[any], the bytes of the text.
      coded: UInt8[any], with room for all that may be written; read as if zeros followed.
      s: State, changed in place.
      k: Constants.
    """
    text, buckets, recent1, recent2, places, order0, order1 = s[:7]
    history, pair, match, weights, final, maps, reg = s[7:]
    stretch, squash = k.stretch, k.squash
    n = buckets.shape[0]
    width = weights.shape[1]
    x = np.zeros(width, np.int32)
    h = np.zeros(32, np.int64)
    bucket = np.zeros(32, np.int64)
    seen = np.zeros(32, np.int64)
    at_pair = np.zeros(8, np.int64)
    at_match = np.zeros(2, np.int64)
    expected = np.zeros(2, np.int64)
    row = np.zeros(8, np.int64)
    logit = np.zeros(8, np.int64)
    at_map = np.zeros(4, np.int64)
    used = reg[17]
    low, high, value = reg[14], reg[15], reg[16]
    first_pair = 2 * n
    for number in range(len(data)):
        _contexts(text, recent1, recent2, reg, h)
        pos = reg[0]
        c1 = np.int64(text[pos - 1]) if pos >= 1 else np.int64(0)
        c2 = np.int64(text[pos - 2]) if pos >= 2 else np.int64(0)
        byte = np.int64(0) if decoding else np.int64(data[number])
        c0 = np.int64(1)
        hits = np.int64(0)
        letters = min(reg[5], 7)
        rate = _rate(reg[4])
        for bit in range(8):
            if bit == 0 or bit == 4:
                hits = np.int64(0)
                for i in range(n):
                    b = _find(buckets[i], k.total, _hash(h[i], 0 if bit == 0 else c0))
                    bucket[i] = b
                    if (i < 5 or i == 9) and buckets[i, b, 1] != 0:
                        hits += 1
            node = c0 if bit < 4 else (c0 & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
            # Predict.
            for i in range(n):
                state = np.int64(buckets[i, bucket[i], node])
                seen[i] = state
                p = history[i, state] >> 16
                known = 1 if state != 0 else 0
                x[2 * i] = stretch[p >> 4] * known
                x[2 * i + 1] = ((p - 32768) >> 7) * known
            j = first_pair
            for q in range(_NPAIR):
                at_pair[q] = seen[_PA[q]] << 8 | seen[_PB[q]]
                x[j] = stretch[pair[q, at_pair[q]] >> 20]
                j += 1
            at1 = c1 << 8 | c0
            x[j] = stretch[order0[c0] >> 4]
            x[j + 1] = stretch[order1[at1] >> 4]
            j += 2
            for m in range(2):
                at_match[m] = -1
                x[j] = 0
                x[j + 1] = 0
                if reg[12 + m] > 0:
                    guess = np.int64(text[reg[10 + m]]) | 256
                    if guess >> (8 - bit) == c0:
                        y = guess >> (7 - bit) & 1
                        expected[m] = y
                        at_match[m] = 2 * _FINE[min(reg[12 + m], 400)] + y
                        p = match[m, at_match[m]] >> 16
                        x[j] = stretch[p >> 4]
                        x[j + 1] = (p - 32768) >> 7
                    else:
                        reg[12 + m] = 0
                j += 2
            x[j] = 256
            follows = np.int64(text[reg[10]]) if at_match[0] >= 0 else np.int64(256)
            row[0] = _OFFSETS[0] + _COARSE[min(reg[13], 400)] * 8 + _COARSE[min(reg[12], 400)]
            row[1] = _OFFSETS[1] + c0
            row[2] = _OFFSETS[2] + c1
            row[3] = _OFFSETS[3] + hits * 8 + bit
            row[4] = _OFFSETS[4] + c2
            row[5] = _OFFSETS[5] + letters * 64 + bit * 8 + (reg[9] & 7)
            row[6] = _OFFSETS[6] + follows
            total = np.int64(0)
            for q in range(_NSET):
                w = weights[row[q]]
                dot = np.int64(0)
                for i in range(width):
                    dot += np.int64(w[i]) * np.int64(x[i])
                logit[q] = min(max(dot >> 16, -_LOGIT), _LOGIT)
                total += np.int64(final[c0, q]) * logit[q]
            mixed = min(max(total >> 16, -_LOGIT), _LOGIT)
            p_mixed = squash[mixed + 2048]
            knot = (mixed + 2048) >> 7
            part = (mixed + 2048) & 127
            at_map[0] = c0 | c1 << 8
            at_map[1] = _hash(c0 | c1 << 8 | c2 << 16, 77) & 0xFFFF
            at_map[2] = (follows & 255) | c0 << 8
            sum_ = p_mixed
            for q in range(3):
                a = at_map[q] * 33 + knot
                sum_ += (np.int64(maps[q, a]) * (128 - part) + np.int64(maps[q, a + 1]) * part) >> 7
                at_map[q] = a + (part >> 6)
            p = min(max(sum_ >> 2, 4), 65532)
            # Code.
            span = high - low
            middle = low + ((span * p) >> 16)
            if decoding:
                y = np.int64(1) if value <= middle else np.int64(0)
            else:
                y = byte >> (7 - bit) & 1
            if y == 1:
                high = middle
            else:
                low = middle + 1
            while (low ^ high) & 0xFF000000 == 0:
                if decoding:
                    value = (value << 8 & _M) | (
                        np.int64(coded[used]) if used < len(coded) else np.int64(0)
                    )
                else:
                    coded[used] = low >> 24
                used += 1
                low = low << 8 & _M
                high = (high << 8 & _M) | 255
            # Learn.
            for i in range(n):
                state = seen[i]
                if state != 0:
                    _learn(history, i, state, y, k.rates)
                buckets[i, bucket[i], node] = k.following[state, y]
            for q in range(_NPAIR):
                _learn(pair, q, at_pair[q], y, k.rates)
            goal = 65535 * y
            order0[c0] += (goal - order0[c0]) >> 5
            order1[at1] += (goal - order1[at1]) >> 4
            for m in range(2):
                if at_match[m] >= 0:
                    _learn(match, m, at_match[m], y, k.rates)
                    if expected[m] != y:
                        reg[12 + m] = 0
            for q in range(_NSET):
                error = ((y << 16) - squash[logit[q] + 2048]) * rate
                w = weights[row[q]]
                for i in range(width):
                    moved = np.int64(w[i]) + ((np.int64(x[i]) * error + (1 << 17)) >> 18)
                    w[i] = min(max(moved, -_WEIGHT), _WEIGHT)
                moved = np.int64(final[c0, q]) + (
                    (logit[q] * ((y << 16) - p_mixed) + (1 << 17)) >> 18
                )
                final[c0, q] = min(max(moved, -_WEIGHT), _WEIGHT)
            for q in range(3):
                old = np.int64(maps[q, at_map[q]])
                maps[q, at_map[q]] = old + ((goal - old) >> 7)
            c0 = c0 * 2 + y
        if decoding:
            data[number] = c0 & 255
        text[pos] = c0 & 255
        reg[0] = pos + 1
        reg[4] += 1
        _matched(text, places, reg)
    reg[14], reg[15], reg[16], reg[17] = low, high, value, used
    return used


__all__ = ["Constants", "State", "code", "prime"]
