"""A streamed multipart/form-data body: one file, and small fields beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.multipart import MultipartParser, parse_options_header

from backend.core.errors import (
    ExtrophiError,
    InvalidRequest,
    MalformedBody,
    PayloadTooLarge,
    UnsupportedMedia,
)

_FIELD_BYTES = 10_000
_FIELDS = 50


@dataclass(slots=True)
class Form:
    """What a form held beside the file's bytes."""

    media_type: str = "application/octet-stream"
    content_encoding: str | None = None
    file_name: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


class FormReader:
    """Feed it chunks; it gives back the file's bytes as they come."""

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise MalformedBody("The form has no boundary")
        self._form = Form()
        self._out: list[bytes] = []
        self._files = 0
        self._in_file = self._ended = False
        self._headers: dict[str, bytes] = {}
        self._name = self._value = b""
        self._field: str | None = None
        self._text = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._part_starts,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """Bytes of the file in this chunk.

        Raises:
            MalformedBody: not a form.
        """
        try:
            self._parser.write(chunk)
        except ExtrophiError:
            raise
        except Exception as error:
            raise MalformedBody("The body is not a valid multipart form") from error
        out, self._out = self._out, []
        return out

    def finish(self) -> Form:
        """The form.

        Raises:
            MalformedBody: it ended early.
            InvalidRequest: it held no file.
        """
        if not self._ended:
            raise MalformedBody("The multipart form ends early")
        if not self._files:
            raise InvalidRequest("The form holds no file")
        return self._form

    def _begin(self) -> None:
        self._headers = {}
        self._field, self._text, self._in_file = None, b"", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _part_starts(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"filename" in options:
            self._files += 1
            if self._files > 1:
                raise InvalidRequest("The form holds more than one file")
            self._in_file = True
            self._form.file_name = options[b"filename"].decode("utf-8", "replace")[:255]
            media = self._headers.get("content-type", b"").partition(b";")[0].strip().lower()
            self._form.media_type = media.decode("latin-1") or self._form.media_type
            encoding = self._headers.get("content-encoding", b"").strip().lower().decode("latin-1")
            if encoding not in ("", "identity", "gzip", "zstd"):
                raise UnsupportedMedia("The file's Content-Encoding must be one of: gzip, zstd")
            self._form.content_encoding = encoding if encoding in ("gzip", "zstd") else None
        else:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._out.append(data[start:end])
        else:
            self._text += data[start:end]
            if len(self._text) > _FIELD_BYTES:
                raise PayloadTooLarge("A field of the form is too large")

    def _part_ends(self) -> None:
        if self._field is not None:
            self._form.fields[self._field] = self._text.decode("utf-8", "replace")
            if len(self._form.fields) > _FIELDS:
                raise PayloadTooLarge("The form has too many fields")

    def _end(self) -> None:
        self._ended = True
