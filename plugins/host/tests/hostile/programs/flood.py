# says: scores of more than 268435456 bytes are given
from frames import *

data = bytes(64 << 20)
serve(lambda: [scores(data, values=[0, len(data)]) for _ in range(6)] and result())
