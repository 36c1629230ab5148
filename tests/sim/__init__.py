"""The rollout loop under a virtual clock: simulated hosts, links, crashes and rivals, all from one seed."""
