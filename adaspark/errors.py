"""The one exception that reaches a user as a sentence."""


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence or two: what is wrong, what was expected, what to do. The command
    line prints it and exits with 2; the page shows it and keeps the user's input.
    """
