"""A second decoder in plain Python, from `FORMAT.md`: slow, and without arrays or a compiler.

It shares the tables and the start's numbers with the compiled loops, nothing else. It is what they
are tested against, and what decodes where numba is not installed, at some hundred bytes a second.
"""

from __future__ import annotations

from collections.abc import Iterable

from fewbits.codecs.text.mixing import state, tables

_M = 0xFFFFFFFF
_HISTORIES = tables.histories()
_FOLLOWING = [tuple(row) for row in _HISTORIES.following.tolist()]
_TOTAL = _HISTORIES.total.tolist()
_KNOWN = _HISTORIES.probability.tolist()
_SQUASH = tables.squash().tolist()
_STRETCH = tables.stretch().tolist()
_RATES = tables.rates().tolist()
_COARSE = (1, 8, 12, 16, 24, 32, 64)


def decode(
    coded: bytes, size: int, contexts: int, log2: int, prior: bytes, start: state.Start
) -> bytes:
    """The text of a stream.

    Args:
      coded: the stream.
      size: bytes of the text.
      contexts: 22 or 8.
      log2: of the buckets of a context.
      prior: bytes that the model reads first.
      start: numbers that it starts from.
    """
    model = _Model(contexts, log2, start)
    for byte in prior:
        model.read(byte)
    coder = _Coder(coded)
    for _ in range(size):
        model.decode_byte(coder)
    return bytes(model.text[len(prior) :])


class _Coder:
    """The arithmetic decoder."""

    def __init__(self, coded: bytes):
        self._bytes = iter(coded)
        self._low, self._high = 0, _M
        self._value = 0
        for _ in range(4):
            self._value = self._value << 8 | next(self._bytes, 0)

    def bit(self, probability: int) -> int:
        middle = self._low + ((self._high - self._low) * probability >> 16)
        bit = int(self._value <= middle)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while self._low >> 24 == self._high >> 24:
            self._low = self._low << 8 & _M
            self._high = self._high << 8 & _M | 255
            self._value = self._value << 8 & _M | next(self._bytes, 0)
        return bit


class _Map:
    """An adaptive map's entry: 22 bits of probability, and how many bits it has seen."""

    def __init__(self, probability: int, count: int):
        self.p, self.count = min(probability * 64, (1 << 22) - 1), count

    def learn(self, bit: int) -> None:
        self.p += ((bit << 22) - self.p) * _RATES[self.count] >> 16
        self.count = min(self.count + 1, 1000)

    def stretched(self) -> int:
        return _STRETCH[self.p >> 10]

    def centred(self) -> int:
        return (self.p >> 6) - 32768 >> 7


class _Buckets:
    """One context's hash table: a check and 15 histories a bucket."""

    def __init__(self, log2: int):
        self._mask = (1 << log2) - 1
        self._found: dict[int, list[int]] = {}

    def find(self, where: int) -> list[int]:
        check = where >> 24 or 1
        first = (where * 0x1E3779B1 & _M) >> 7 & self._mask
        places = [first ^ k for k in range(4)]
        for place in places:
            bucket = self._found.get(place)
            if bucket is None:
                bucket = self._found[place] = [check] + [0] * 15
            if bucket[0] == check:
                return bucket
        worst = min(places, key=lambda place: _TOTAL[self._found[place][1]])
        self._found[worst] = [check] + [0] * 15
        return self._found[worst]


class _Match:
    """Follows an earlier place where as many bytes were the same."""

    def __init__(self, need: int, log2: int, start: Iterable[int]):
        self._need, self._bits = need, log2
        self._places: dict[int, int] = {}
        self.maps = [(_Map(65536 - p, 0), _Map(p, 0)) for p in start]
        self.pointer = self.length = 0

    def after_byte(self, text: list[int]) -> None:
        here = len(text)
        if self.length and text[self.pointer] == text[-1]:
            self.pointer, self.length = self.pointer + 1, min(self.length + 1, 65535)
        else:
            self.pointer = self.length = 0
        if here < self._need:
            return
        x = 0
        for byte in text[: -self._need - 1 : -1]:
            x = (x + byte + 1) * 0x2F0B4C47 & _M
        x ^= x >> 16
        x = (x * 0x1E3779B1 & _M) >> 32 - self._bits
        if not self.length:
            at = self._places.get(x, 0)
            length = 0
            while length < min(400, at) and text[at - 1 - length] == text[here - 1 - length]:
                length += 1
            if length >= self._need - 1:
                self.pointer, self.length = at, length
        self._places[x] = here

    def coarse(self) -> int:
        return sum(self.length >= limit for limit in _COARSE)

    def fine(self) -> int:
        n = self.length
        if n < 16:
            return n
        if n < 32:
            return 16 + (n - 16) // 4
        if n < 64:
            return 20 + (n - 32) // 8
        return 24 + (n - 64) // 64 if n < 400 else 30


def _hash(a: int, *rest: int) -> int:
    for b in rest:
        x = a * 0x2C1B3C6D + b * 0x1E3779B1 + 0x7F4A7C15 & _M
        x ^= x >> 15
        x = x * 0x05EBCA6B & _M
        a = x ^ x >> 13
    return a


class _Model:
    """Contexts, histories and mixers."""

    def __init__(self, contexts: int, log2: int, start: state.Start):
        self.text: list[int] = []
        self._n = contexts
        self._buckets = [_Buckets(log2) for _ in range(contexts)]
        self._matches = [
            _Match(need, log2, row.tolist())
            for need, row in zip(state.MATCHES, start.match, strict=True)
        ]
        self._history = [
            [_Map(p, start.history_count) for p in row] for row in start.history.tolist()
        ]
        self._pairs: list[dict[tuple[int, int], _Map]] = [{} for _ in state.PAIRS]
        self._order0, self._order1 = [32768] * 256, [32768] * 65536
        self._start = start.weights.tolist()
        self._weights: dict[tuple[int, int], list[int]] = {}
        self._final_start = start.final_weights.tolist()
        self._final: dict[int, list[int]] = {}
        self._maps: dict[tuple[int, int], list[int]] = {}
        self._coded = 0
        self._recent1, self._recent2 = [0] * 256, [0] * 65536
        self._words = [0, 0, 0]
        self._letters = self._line = self._line_before = self._line_first = self._kinds = 0

    def read(self, byte: int) -> None:
        """A byte of the prior: histories and plain probabilities learn, nothing else does."""
        hashes = self._hashes()
        before = self._last(1)
        for context, table in enumerate(self._buckets):
            for nibble, key in ((byte >> 4, 0), (byte & 15, byte >> 4 | 16)):
                bucket = table.find(_hash(hashes[context], key))
                node = 1
                for shift in (3, 2, 1, 0):
                    bit = nibble >> shift & 1
                    bucket[node] = _FOLLOWING[bucket[node]][bit]
                    node = 2 * node + bit
        node = 1
        for shift in range(7, -1, -1):
            bit = byte >> shift & 1
            self._plain(before, node, bit)
            node = 2 * node + bit
        self._append(byte)

    def decode_byte(self, coder: _Coder) -> None:
        """The next byte, which is learned from."""
        hashes = self._hashes()
        c0 = node = 1
        found: list[list[int]] = []
        hits = 0
        for bit_number in range(8):
            if bit_number in (0, 4):
                key, node = (0 if bit_number == 0 else c0), 1
                found = [table.find(_hash(hashes[i], key)) for i, table in enumerate(self._buckets)]
                hits = sum(found[i][1] != 0 for i in (0, 1, 2, 3, 4, 9) if i < self._n)
            bit = self._bit(coder, bit_number, c0, node, found, hits)
            c0, node = 2 * c0 + bit, 2 * node + bit
        self._append(c0 & 255)
        self._coded += 1

    def _bit(
        self,
        coder: _Coder,
        number: int,
        c0: int,
        node: int,
        found: list[list[int]],
        hits: int,
    ) -> int:
        c1, c2 = self._last(1), self._last(2)
        states = [bucket[node] for bucket in found]
        inputs: list[int] = []
        learning: list[_Map] = []
        for i, seen in enumerate(states):
            entry = self._history[i][seen]
            inputs += [entry.stretched(), entry.centred()] if seen else [0, 0]
            if seen:
                learning.append(entry)
        for table, (a, b) in zip(self._pairs, state.PAIRS, strict=True):
            both = states[a], states[b]
            if both not in table:
                table[both] = _Map(_KNOWN[both[1] or both[0]], 6)
            inputs.append(table[both].stretched())
            learning.append(table[both])
        inputs += [_STRETCH[p >> 4] for p in (self._order0[c0], self._order1[c1 << 8 | c0])]
        guesses: list[tuple[_Match, int]] = []
        follows = 256
        for n, match in enumerate(self._matches):
            guess = self.text[match.pointer] | 256 if match.length else 0
            if match.length and guess >> 8 - number == c0:
                expected = guess >> 7 - number & 1
                entry = match.maps[match.fine()][expected]
                inputs += [entry.stretched(), entry.centred()]
                learning.append(entry)
                guesses.append((match, expected))
                if n == 0:
                    follows = guess & 255
            else:
                match.length = 0
                inputs += [0, 0]
        inputs.append(256)
        rows = (
            8 * self._matches[1].coarse() + self._matches[0].coarse(),
            c0,
            c1,
            8 * hits + number,
            c2,
            64 * min(self._letters, 7) + 8 * number + (self._kinds & 7),
            follows,
        )
        used = [
            self._weights.setdefault((q, row), list(self._start[q])) for q, row in enumerate(rows)
        ]
        logits = [_clip(sum(map(int.__mul__, w, inputs)) >> 16) for w in used]
        last = self._final.setdefault(c0, list(self._final_start))
        mixed = _clip(sum(map(int.__mul__, last, logits)) >> 16)
        probability = _SQUASH[mixed + 2048]
        knot, part = divmod(mixed + 2048, 128)
        total = probability
        nearest: list[tuple[list[int], int]] = []
        for q, context in enumerate(
            (c0 | c1 << 8, _hash(c0 | c1 << 8 | c2 << 16, 77) & 0xFFFF, follows & 255 | c0 << 8)
        ):
            knots = self._maps.setdefault((q, context), list(_KNOTS))
            total += knots[knot] * (128 - part) + knots[knot + 1] * part >> 7
            nearest.append((knots, knot + part // 64))
        bit = coder.bit(min(max(total >> 2, 4), 65532))
        for entry in learning:
            entry.learn(bit)
        for bucket, seen in zip(found, states, strict=True):
            bucket[node] = _FOLLOWING[seen][bit]
        self._plain(c1, c0, bit)
        for match, expected in guesses:
            if expected != bit:
                match.length = 0
        rate = 6 - sum(
            step * (self._coded >= limit) for step, limit in ((2, 20000), (1, 200000), (1, 600000))
        )
        for w, logit in zip(used, logits, strict=True):
            _move(w, inputs, rate * ((bit << 16) - _SQUASH[logit + 2048]))
        _move(last, logits, (bit << 16) - probability)
        for knots, at in nearest:
            knots[at] += 65535 * bit - knots[at] >> 7
        return bit

    def _plain(self, before: int, node: int, bit: int) -> None:
        self._order0[node] += 65535 * bit - self._order0[node] >> 5
        at = before << 8 | node
        self._order1[at] += 65535 * bit - self._order1[at] >> 4

    def _append(self, byte: int) -> None:
        self.text.append(byte)
        for match in self._matches:
            match.after_byte(self.text)

    def _last(self, count: int) -> int:
        return self.text[-count] if len(self.text) >= count else 0

    def _hashes(self) -> list[int]:
        c1, c2, c3, c4, c5, c6, c7, c8 = (self._last(n) for n in range(1, 9))
        here = len(self.text)
        lower = c1 + 32 if 65 <= c1 <= 90 else c1
        in_word = 97 <= lower <= 122 or lower >= 128
        if 0xE3 <= lower <= 0xED or (not in_word and self._words[0]):
            self._words = [0, *self._words[:2]]
            self._letters = 0
        if in_word:
            self._words[0] = _hash(self._words[0] + 1, lower)
            self._letters += 1
        if c1 == 10:
            self._line_before, self._line = self._line, here
        column = here - self._line
        over = self._line_before + column
        above = self.text[over] if over < self._line else 0
        if column == 1:
            self._line_first = c1
        kind = _kind(c1, in_word)
        if kind != self._kinds & 7:
            self._kinds = (self._kinds << 3 | kind) & _M
        self._recent1[c2] = (self._recent1[c2] << 8 | c1) & _M
        self._recent2[c3 << 8 | c2] = (self._recent2[c3 << 8 | c2] << 8 | c1) & _M
        first = self._matches[0]
        expected = self.text[first.pointer] + 1 if first.length else 0
        word, word1, word2 = self._words
        kinds = self._kinds
        apart = 0 if in_word else c1
        a4 = c1 | c2 << 8 | c3 << 16 | c4 << 24
        b4 = c5 | c6 << 8 | c7 << 16 | c8 << 24
        recent1, recent2 = self._recent1[c1], self._recent2[c2 << 8 | c1]
        return [
            _hash(0, c1),
            _hash(1, a4 & 0xFFFF),
            _hash(2, a4 & 0xFFFFFF),
            _hash(3, a4),
            _hash(4, a4, b4 & 0xFFFF),
            _hash(5, word, c1),
            _hash(6, word, word1, apart),
            _hash(7, word, kinds & 0xFFF),
            _hash(8, a4, c5),
            _hash(9, a4, b4),
            _hash(10, kinds, c1),
            _hash(11, word, word1, word2, apart),
            _hash(12, word, word2, apart),
            _hash(13, c2 | c3 << 8),
            _hash(14, c1 | c3 << 8 | c4 << 16),
            _hash(15, recent1 & 0xFFFF, c1),
            _hash(16, recent2 & 0xFFFF, c1),
            _hash(17, above, c1 | self._line_first << 8),
            _hash(18, expected, min(first.length, 15) | c1 << 8),
            _hash(19, word, word1, kinds & 0x3FFFF),
            _hash(20, recent1 & 0xFFFFFF, word if in_word else c1 | c2 << 8),
            _hash(21, a4, word1),
        ]


_KNOTS = [_SQUASH[min(max(128 * n, 1), 4095)] for n in range(state.KNOTS)]


def _kind(byte: int, in_word: bool) -> int:
    if 65 <= byte <= 90:
        return 6
    if in_word:
        return 1
    if 48 <= byte <= 57:
        return 2
    return {32: 3, 10: 4}.get(byte, 5)


def _clip(logit: int) -> int:
    return min(max(logit, -tables.LOGIT_LIMIT), tables.LOGIT_LIMIT)


def _move(weights: list[int], inputs: list[int], error: int) -> None:
    most = (1 << 24) - 1
    for i, x in enumerate(inputs):
        weights[i] = min(max(weights[i] + (x * error + (1 << 17) >> 18), -most), most)
