"""Sightings beside the inventory: contradictions are never resolved by guessing."""

import pytest

from patchctl.discover.draft import draft_inventory
from patchctl.discover.reconcile import ManagedHost, reconcile
from patchctl.model.devices import Service, Sighting

RSA, ED = "ssh-rsa", "ssh-ed25519"


def seen(address, fingerprint="SHA256:a", key_type=ED, port=22, name=""):
    return Sighting(address, (Service(port, "ssh", "SSH-2.0-x", key_type, fingerprint),), 1.0, name=name)


def host(name, address, *keys, port=22, retired=False):
    return ManagedHost(name, frozenset({address}), port, frozenset(keys), retired)


CASES = {
    "unknown address": (seen("10.0.0.9"), [], "unmanaged", ""),
    "address and key agree": (seen("10.0.0.1"), [host("a", "10.0.0.1", (ED, "SHA256:a"))], "managed", "a"),
    "address agrees, no key known": (seen("10.0.0.1"), [host("a", "10.0.0.1")], "managed", "a"),
    "only another key type is known": (seen("10.0.0.1"), [host("a", "10.0.0.1", (RSA, "SHA256:r"))], "managed", "a"),
    "another key of the same type": (seen("10.0.0.1"), [host("a", "10.0.0.1", (ED, "SHA256:b"))], "conflicting", "a"),
    "its key at another address": (seen("10.0.0.9"), [host("a", "10.0.0.1", (ED, "SHA256:a"))], "conflicting", "a"),
    "retired, but it answers": (seen("10.0.0.1"), [host("a", "10.0.0.1", retired=True)], "retired", "a"),
}


@pytest.mark.parametrize("case", CASES)
def test_state_of_one_sighting(case):
    sighting, managed, state, matched = CASES[case]
    device = reconcile([sighting], managed, [], [22])[0]
    assert (device.state, device.matched) == (state, matched)


def test_a_host_that_was_swept_and_did_not_answer_is_stale():
    devices = reconcile([], [host("a", "10.0.0.1"), host("far", "10.9.0.1")], ["10.0.0.1"], [22])
    assert [(d.state, d.matched) for d in devices] == [("stale", "a")]


def test_a_host_on_a_port_that_was_not_swept_is_not_absent():
    assert reconcile([], [host("a", "10.0.0.1", port=2222)], ["10.0.0.1"], [22]) == ()


def test_two_managed_hosts_on_one_address_are_told_apart_by_their_keys():
    managed = [host("a", "10.0.0.1", (ED, "SHA256:a")), host("b", "10.0.0.1", (ED, "SHA256:b"))]
    assert reconcile([seen("10.0.0.1", "SHA256:b")], managed, [], [22])[0].matched == "b"


def test_clones_are_named_beside_each_other():
    first, second = reconcile([seen("10.0.0.10"), seen("10.0.0.9")], [], [], [22])
    assert (first.address, first.reason) == ("10.0.0.9", "same host key as 10.0.0.10")
    assert second.reason == "same host key as 10.0.0.9"


def test_the_draft_holds_what_is_new_and_no_hostile_text():
    evil = Sighting("10.0.0.9", (Service(22, "ssh", "SSH-2.0-x\n  evil: {run: rm}", ED, "SHA256:a"),), 1.0,
                    name="x: {a\nb}")
    text = draft_inventory(reconcile([evil, seen("10.0.0.1", "SHA256:b")], [host("a", "10.0.0.1")], [], [22]), "t")
    import yaml

    assert yaml.safe_load(text) == {
        "groups": {"discovered": {"hosts": {"10.0.0.9": {"connection": "ssh", "port": 22}}}}
    }


def test_a_draft_without_anything_new_is_still_valid():
    import yaml

    assert yaml.safe_load(draft_inventory([], "t")) == {"groups": {"discovered": {"hosts": {}}}}
