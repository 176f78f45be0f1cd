async def test_a_runner_waits_longer_than_its_controller_does(house):
    """Else it ends itself in the moment in which it is given the next job."""
    await house.queued()
    await house.tick()
    orders = house.runner.orders(house.machine())
    assert orders.idle_s >= house.settings.idle_s + 5
