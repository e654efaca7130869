"""What of a job's metadata an approval is bound to beside the files themselves."""

from __future__ import annotations

from scq.model import Sighting


def bound_fields(sighting: Sighting) -> tuple[tuple[str, str], ...]:
    """What chooses the data a job may read, its time and who gets the results, as it was read.

    The file it stands in is hashed as well, but at another moment: whoever changes it in between gets another digest.
    """
    fields = (
        ("submitter", "" if sighting.ref.submitter else sighting.submitter),
        ("tags", "\n".join(sighting.tags)),
        ("timeout_s", "" if sighting.timeout_s is None else str(sighting.timeout_s)),
    )
    return tuple(pair for pair in fields if pair[1])
