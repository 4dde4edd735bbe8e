# says: `sample_ids` of scores `bad` of condition `default` is not as told
from frames import *

data = VALUES + struct.pack('<21I', *range(20), 1 << 31) + b'x' * 20
serve(lambda: (scores(data, sample_ids=[[160, 84], [244, 20]]), result()))
