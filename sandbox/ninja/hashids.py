"""The ids of Invoice Ninja: hashids of the row's integer with an empty salt, so the first row of every table is
`VolejRejNm` on every install."""

from __future__ import annotations

from functools import cache

_SEPARATORS = "cfhistuCFHISTU"
_LETTERS = "".join(c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890" if c not in _SEPARATORS)
_GUARDS, _ALPHABET = _LETTERS[:4], _LETTERS[4:]
_LENGTH = 10


def _shuffle(alphabet: str, salt: str) -> str:
    """The alphabet in the order that `salt` dictates (a consistent Fisher-Yates shuffle)."""
    letters = list(alphabet)
    position = total = 0
    for last in range(len(letters) - 1, 0, -1):
        weight = ord(salt[position])
        total += weight
        other = (weight + position + total) % last
        letters[last], letters[other] = letters[other], letters[last]
        position = (position + 1) % len(salt)
    return "".join(letters)


@cache
def encode(number: int) -> str:
    """The id of row `number` (> 0): ten characters, the same on every install."""
    seed = number % 100
    lottery = _ALPHABET[seed % len(_ALPHABET)]
    alphabet = _shuffle(_ALPHABET, (lottery + _ALPHABET)[: len(_ALPHABET)])
    digits = ""
    rest = number
    while True:
        rest, digit = divmod(rest, len(alphabet))
        digits = alphabet[digit] + digits
        if not rest:
            break
    text = lottery + digits
    if len(text) < _LENGTH:
        text = _GUARDS[(seed + ord(text[0])) % len(_GUARDS)] + text
    if len(text) < _LENGTH:
        text += _GUARDS[(seed + ord(text[2])) % len(_GUARDS)]
    half = len(alphabet) // 2
    while len(text) < _LENGTH:
        alphabet = _shuffle(alphabet, alphabet)
        text = alphabet[half:] + text + alphabet[:half]
        surplus = len(text) - _LENGTH
        if surplus > 0:
            text = text[surplus // 2 : surplus // 2 + _LENGTH]
    return text
