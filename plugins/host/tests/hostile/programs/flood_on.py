# says: more than 538968064 bytes are said
from frames import *

data = bytes(64 << 20)
serve(lambda: [scores(data, values=[0, len(data)]) for _ in range(40)] and result())
