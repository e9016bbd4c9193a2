"""`blastwall replay`: what a policy says of the calls that a log recorded, against what was decided then."""

from blastwall.advice.compare import replay as replayed
from blastwall.cli.compare import tell
from blastwall.cli.history import Log, history
from blastwall.cli.output import AsJson, PolicyFiles
from blastwall.cli.policies import policy_or_stop
from blastwall.paths import resolve


def replay(policy: PolicyFiles = [], log: Log = None, as_json: AsJson = False) -> None:  # noqa: B006
    """Decide recorded calls again by a policy; nothing is run. Exit 1 when one comes out otherwise.

    `blastwall diff OLD NEW` holds two policies against each other instead.
    """
    judge = policy_or_stop(*policy, as_json=as_json, acts=False)
    tell(replayed(judge, history(log or judge.state.audit_path), resolve), as_json=as_json)
