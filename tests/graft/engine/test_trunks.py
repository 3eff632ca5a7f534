from concurrent.futures import ThreadPoolExecutor

from graft.engine.trunks import Trunks
from graft.vgg16.layers import LAST
from tests.trunks import Gate


def test_many_who_ask_for_a_new_cut_at_once_run_it_once() -> None:
    gate = Gate()
    trunks = Trunks(gate.trunk, ("CPU:0",))
    gate.shut()
    with ThreadPoolExecutor(4) as pool:
        warming = [pool.submit(trunks.warm, "float32", LAST) for _ in range(4)]
        while not gate.reached(1):
            pass
        gate.open()
        for each in warming:
            each.result()
    assert gate.batches == 1
    assert trunks.is_warm("float32", LAST)
