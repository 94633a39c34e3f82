"""A lease is made, renewed, and taken back."""

import asyncio

import pytest

from holdfast.api.coordination.lease import LEASES
from holdfast.api.errors import Conflict
from holdfast.client.leases import LeaseKeeper


@pytest.fixture
def keeper(local, world):
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}
    return LeaseKeeper(local, world, "n1", owner=owner)


async def test_a259_a_lease_is_created_and_renewed(keeper, local):
    await keeper.renew()
    first = await local.get(LEASES, "n1", "kube-node-lease")
    assert first["spec"]["holderIdentity"] == "n1"
    assert first["spec"]["leaseDurationSeconds"] == 40
    assert first["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}]
    await keeper.renew()
    second = await local.get(LEASES, "n1", "kube-node-lease")
    assert second["spec"]["renewTime"] > first["spec"]["renewTime"]
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


async def test_a_lease_that_was_there_is_taken_over(keeper, local):
    spec = {"holderIdentity": "other", "leaseTransitions": 3}
    metadata = {"name": "n1", "namespace": "kube-node-lease"}
    await local.create(LEASES, {"metadata": metadata, "spec": spec})
    await keeper.renew()
    lease = await local.get(LEASES, "n1", "kube-node-lease")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("n1", 3)


async def test_after_somebody_elses_write_or_deletion_the_lease_comes_back(keeper, local):
    await keeper.renew()
    await local.patch(LEASES, "n1", {"spec": {"holderIdentity": "other"}}, "kube-node-lease")
    with pytest.raises(Conflict):
        await keeper.renew()
    await keeper.renew()
    assert (await local.get(LEASES, "n1", "kube-node-lease"))["spec"]["holderIdentity"] == "n1"
    await local.delete(LEASES, "n1", "kube-node-lease")
    task = asyncio.ensure_future(keeper.run(every_s=0.01))
    async with asyncio.timeout(60):
        while not (await local.list(LEASES, "kube-node-lease")).items:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait((task,))
