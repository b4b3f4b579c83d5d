"""The cards of a part have one owner: PostgreSQL looks for the user once, not once per card.

A foreign key is kept by a trigger, which looks the user up and locks the row for each card. Done side by side
for one user, each of these looks also reads who else has the row locked: together up to a third of what
PostgreSQL does for an import. One look with the same lock, held until the transaction ends, says as much.

Triggers are left out by ``session_replication_role = replica``, as restores and replicas do; until the COPY
is over, and only if the look at the user is all that inserting a card triggers. Where this connection may not
(PostgreSQL lets superusers, and whoever was granted SET on that parameter), everything is as usual.
"""

from __future__ import annotations

from uuid import UUID

# The inner query keeps its lock before anything is set: of a user who is just being deleted it finds nobody.
_LOOK = """
    SELECT set_config('session_replication_role', 'replica', true)
    FROM (SELECT FROM users WHERE id = '{owner}' FOR KEY SHARE) AS found
    WHERE has_parameter_privilege('session_replication_role', 'SET')
      AND (SELECT array_agg(tgconstrrelid) FROM pg_trigger
           WHERE tgrelid = 'cards'::regclass AND tgtype::int & 4 <> 0 AND tgenabled <> 'D')
          = ARRAY['users'::regclass::oid]
    """  # 4 is TRIGGER_TYPE_INSERT of PostgreSQL's pg_trigger.h
_AS_USUAL = """
    SELECT set_config('session_replication_role', 'origin', true)
    WHERE current_setting('session_replication_role') = 'replica'
    """


def looked_up_once(owner: UUID) -> tuple[str, str]:
    """Queries to run right before and right after a COPY of cards that are all the owner's.

    In a transaction, and nothing but such a COPY between them. Should it fail, whoever rolls back to where
    the transaction was before takes both the setting and the lock back.
    """
    return _LOOK.format(owner=UUID(str(owner))), _AS_USUAL
