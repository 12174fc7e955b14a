"""The model and server that a client asks, and its errors.

Both transports name errors by gRPC's status codes; the model server's REST port
maps the same codes to HTTP statuses.
"""

import contextlib
import dataclasses
import math
import numbers
import pathlib
import re
import ssl

from tfwstal.errors import InputError

_ADDRESS = re.compile(r"([\w.-]+|\[[\w:.%]+\]):([0-9]{1,5})")
_LONGEST = 86_400.0  # seconds; the bound of --timeout
# Exceptions of code that reads an answer of another form than it expects.
_WRONG_FORM = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class ServerError(InputError):
    """A request that a model server refused, or did not answer properly.

    Attributes:
        code: gRPC's name of the status, "NOT_FOUND" or "INVALID_ARGUMENT";
            "INTERNAL" for a malformed answer.
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Target:
    """The model that is asked, and how.

    Attributes:
        server: "host:port".
        model: name of the model on the server.
        version: version of it, or 0 for the one that the server chooses.
        label: label of a version, "" for none; not together with a version.
        timeout: seconds until a request is given up.
        tls: whether the connection is encrypted and the server's certificate
            checked.
        ca_file: PEM file with the certificates to trust; "" for the usual ones.
        token: sent with each request, "Authorization: Bearer TOKEN"; "" for
            none. Needs `tls`.
    """

    server: str
    model: str = "tfwstal"
    version: int = 0
    label: str = ""
    timeout: float = 60.0
    tls: bool = False
    ca_file: str = ""
    token: str = dataclasses.field(default="", repr=False)

    def __post_init__(self):
        """Raises InputError for a value that no request can carry."""
        match = _ADDRESS.fullmatch(str(self.server))
        if not match or not 0 < int(match[2]) < 2**16:
            raise InputError(
                f"--server={self.server}: HOST:PORT is needed, as in "
                "localhost:8500, with a port from 1 to 65535"
            )
        if not self.model:
            raise InputError("--model_name is empty; name the server's model")
        version = self.version
        if not isinstance(version, numbers.Integral) or not (
            0 <= version < 2**63
        ):
            raise InputError(
                f"--model_version={version}: must be a whole number from 0 to "
                "2^63 - 1"
            )
        if version and self.label:
            raise InputError(
                f"--model_version={version} and --version_label={self.label}: "
                "give one of the two"
            )
        seconds = self.timeout
        if not isinstance(seconds, numbers.Real) or not (
            math.isfinite(seconds) and 0 < seconds <= _LONGEST
        ):
            raise InputError(
                f"--timeout={seconds}: must be a number of seconds above 0, "
                f"{_LONGEST:g} at most"
            )
        if not self.tls and (self.ca_file or self.token):
            flag = "--ca_file" if self.ca_file else "--token_file"
            raise InputError(
                f"{flag} needs --tls: without it nothing is encrypted, and "
                "anyone on the way could read the token"
            )
        if not re.fullmatch(r"[\x21-\x7e]*", self.token):
            raise InputError(
                "--token_file: a token is one line of printable ASCII "
                "characters without blanks"
            )

    def __str__(self):
        if self.version:
            return f"version {self.version} of model {self.model!r}"
        if self.label:
            return f"version {self.label!r} of model {self.model!r}"
        return f"model {self.model!r}"

    def certificates(self):
        """The content of `ca_file`, bytes; None without one."""
        if not self.ca_file:
            return None
        try:
            content = pathlib.Path(self.ca_file).read_bytes()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=content.decode("ascii"))
        except OSError as error:  # of `ssl` too
            reason = error.strerror or error
        except ValueError:
            reason = "it is not a PEM file"
        else:
            return content
        raise InputError(
            f"--ca_file={self.ca_file} cannot be used ({reason}); a PEM file "
            "with certificates is needed"
        )

    def error(self, code, details):
        """A ServerError that explains a status to the user.

        Args:
            code: gRPC's name of the status.
            details: text from the server or from the network.
        """
        details = _one_line(details)
        if code == "UNAVAILABLE" and "queue" in details:
            text = f"is too busy ({details}); try again later"
        elif code == "UNAVAILABLE" and "CERTIFICATE_VERIFY" in details:
            text = (
                f"its certificate is not trusted ({details}); name the "
                "certificate's authority by --ca_file, and the host as the "
                "certificate does"
            )
        elif code == "UNAVAILABLE":
            text = (
                f"does not answer ({details}); is the model server running, "
                "is this its port for --transport, and does it need --tls?"
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
        elif code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            text = f"does not accept the caller ({details}); see --token_file"
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

    @contextlib.contextmanager
    def reading(self, part):
        """Turns any exception of code that reads an answer into ServerError.

        Args:
            part: which part of the answer is read, for the message.
        """
        try:
            yield
        except InputError:
            raise
        except _WRONG_FORM as error:
            reason = "not the expected structure"
            # Messages of other errors speak of Python.
            if isinstance(error, ValueError):
                reason = _one_line(error) or reason
            raise ServerError(
                "INTERNAL",
                f"--server={self.server}: {self} sent a malformed answer "
                f"({part}: {reason}); serve what tfwstal.export wrote",
            ) from None


def read_token(path):
    """A token from the only line of a text file.

    Args:
        path: the file; "" for no token.

    Raises:
        InputError: if the file cannot be read or is empty.
    """
    if not path:
        return ""
    try:
        token = pathlib.Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII text"
        raise InputError(
            f"--token_file={path} cannot be read ({reason}); a text file with "
            "one line is needed"
        ) from None
    if not token:
        raise InputError(f"--token_file={path} is empty; put the token into it")
    return token


def _one_line(details):
    """The first 300 characters: messages of TensorFlow can fill pages."""
    line = " ".join(str(details).split())
    return line if len(line) <= 300 else f"{line[:297]}..."
