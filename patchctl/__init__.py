"""patchctl: agentless patch rollout and configuration assessment.

The rooms and the direction of imports are described in docs/explanation/architecture.md.
"""

__version__ = "0.1.0"
