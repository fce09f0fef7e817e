"""The slices of an archive: every member is planned like a file of its own, under the archive's name and its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline import names, originals
from pipeline.csv_head import HEAD_BYTES, examine, head_of
from pipeline.csv_refusals import Problem
from pipeline.csv_text import NotRows
from pipeline.file_bytes import TRANSFER_SECONDS
from pipeline.sources import PlannedSlice
from pipeline.sources.crm.file_names import is_no_member, no_table
from pipeline.sources.crm.placing import Placing
from pipeline.zip_archive import Archive, Member, Refused

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MEMBER_HEAD_BYTES = 4 * HEAD_BYTES
"""Inflated bytes by which a member is judged: its other pieces cannot be reached without all that is before them."""
ARCHIVE_CHUNK_BYTES = 128 * 1024
"""Read at a time: enough for most members' heads."""
NON_MEMBERS_SHOWN = 20


def member_slices(blob: Blob, file: Mapping[str, Any], placing: Placing) -> Iterator[PlannedSlice]:
    """The slices of each member of an archive, or one that says why none is read.

    A member that is no table of text has a slice that sets it aside; folders and what systems add unasked have none, and are
    listed with each member (``non_members``).
    """
    with blob.open("rb", chunk_size=ARCHIVE_CHUNK_BYTES, raw_download=True, timeout=TRANSFER_SECONDS) as stream:
        try:
            archive = Archive(stream, str(blob.name))
        except Refused as refused:
            yield placing.set_aside(file, refused.problem)
            return
        others = [member.name for member in archive.members if is_no_member(member.name)]
        members = [member for member in archive.members if not is_no_member(member.name)]
        if not members:
            listed = f": it holds {', '.join(others[:NON_MEMBERS_SHOWN])}" if others else ""
            problem = Problem(f"{blob.name} is an archive without a file{listed}", "Pack the exports again and drop it again.")
            yield placing.set_aside(file, problem)
        for member in members:
            one = {**file, "member": member.name, "non_members": others[:NON_MEMBERS_SHOWN]}
            yield from _slices_of(archive, member, one, placing)


def _slices_of(archive: Archive, member: Member, file: Mapping[str, Any], placing: Placing) -> Iterator[PlannedSlice]:
    name = names.shown_file(file)
    problem = member.problem or no_table(name, in_archive=True)
    if problem is None:
        try:
            with archive.open(member.name) as content:
                head, complete = head_of(content, MEMBER_HEAD_BYTES)
        except NotRows as error:
            problem = originals.damaged(name, error)
    if problem is not None:
        yield placing.set_aside(file, problem)
        return
    streams, zone = placing.source.streams, placing.time_zone
    yield from placing.of(file, examine(name, head, complete=complete, book=placing.book, streams=streams, time_zone=zone))
