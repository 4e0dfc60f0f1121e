"""The user's mistakes: one clear line each, exit status 2."""


class InputError(ValueError):
    """Data or a setting that cannot be fitted or coded; the message names it and the remedy."""
