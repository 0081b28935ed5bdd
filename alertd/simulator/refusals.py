"""How the API says no: Twilio's error body and codes for every answer that is not 200."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_USUAL = {
    400: (20001, "Bad Request"),
    401: (20003, "Authenticate"),
    403: (20006, "Access Denied"),
    404: (20404, "Not Found"),
    405: (20004, "Method not allowed"),
    429: (20429, "Too Many Requests"),
    500: (20500, "Internal Server Error"),
    503: (20503, "Service Unavailable"),
}


class RefusalError(Exception):
    """An answer that is not 200; message and code (of Twilio's error dictionary) default to the status's usual ones."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        usual_code, usual_message = _USUAL.get(status, (20000 + status, "Error"))
        super().__init__(message or usual_message)
        self.status = status
        self.code = code or usual_code
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON body, with exactly the four keys that api.twilio.com answers with."""
        more_info = f"https://www.twilio.com/docs/errors/{self.code}"
        return msgspec.json.encode(
            {"code": self.code, "message": str(self), "more_info": more_info, "status": self.status}
        )
