# runs
from frames import *

ids = [('p%d' % i).encode() for i in range(20)]
ends = [sum(map(len, ids[:i])) for i in range(21)]
data = VALUES + struct.pack('<21I', *ends) + b''.join(ids)
serve(lambda: (scores(data, sample_ids=[[160, 84], [244, ends[-1]]]), result()))
