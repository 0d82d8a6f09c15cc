"""What can go wrong on the way in and out; each message names the choice or the file, and the way out."""


class HubError(ValueError):
    """A folder or a name from which no model can be read."""


class ExportError(HubError):
    """A model or a tokenizer that transformers' classes cannot express; the message lists every reason."""
