"""Which model of which server is asked, and what a failure there means.

Both transports tell failures by the names of gRPC's status codes, of which the
model server's REST port has its HTTP statuses.
"""

import dataclasses

from tfwstal.errors import InputError


class ServerError(InputError):
    """A request that a model server refused, or did not answer.

    Attributes:
        code: gRPC's name of the status, "NOT_FOUND" or "INVALID_ARGUMENT".
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Target:
    """The model that is asked.

    Attributes:
        server: "host:port".
        model: name of the model on the server.
        version: version of it, or 0 for the one that the server chooses.
        label: label of a version, "" for none; not beside a version.
        timeout: seconds until a request is given up.
    """

    server: str
    model: str = "tfwstal"
    version: int = 0
    label: str = ""
    timeout: float = 60.0

    def __post_init__(self):
        """Raises InputError unless the server is host:port."""
        host, colon, port = self.server.rpartition(":")
        if not (host and colon and port.isdecimal()) or "/" in host:
            raise InputError(
                f"--server={self.server}: HOST:PORT is needed, as in "
                "localhost:8500"
            )
        if self.version and self.label:
            raise InputError(
                f"--model_version={self.version} and "
                f"--version_label={self.label}: give one of the two"
            )

    def __str__(self):
        if self.version:
            return f"version {self.version} of model {self.model!r}"
        if self.label:
            return f"version {self.label!r} of model {self.model!r}"
        return f"model {self.model!r}"

    def error(self, code, details):
        """The ServerError that tells a user what a status means.

        Args:
            code: gRPC's name of the status.
            details: what the server or the network said.
        """
        details = _one_line(details)
        if code == "UNAVAILABLE" and "queue" in details:
            text = f"is too busy ({details}); try again later"
        elif code == "UNAVAILABLE":
            text = (
                f"does not answer ({details}); is the model server running, "
                "and is this its port for --transport?"
            )
        elif code == "DEADLINE_EXCEEDED" or "timeout exceeded" in details:
            text = (
                f"no answer within --timeout={self.timeout:g} seconds; raise "
                "it, or send less at once"
            )
        elif code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
            text = (
                f"the message is too large ({details}); raise the limit of "
                "the server or of the proxy before it, or send less at once"
            )
        elif code == "NOT_FOUND":
            text = (
                f"{self} is not served ({details}); check --model_name, "
                "--model_version and --version_label"
            )
        elif code == "INVALID_ARGUMENT":
            text = f"{self} refused the request: {details}"
        else:
            text = f"{self} failed ({code}): {details}"
        return ServerError(code, f"--server={self.server}: {text}")


def _one_line(details):
    """The first 300 characters: an operation's error goes on for pages."""
    line = " ".join(str(details).split())
    return line if len(line) <= 300 else f"{line[:297]}..."
