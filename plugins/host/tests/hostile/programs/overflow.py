# says: `values` of scores `bad` of condition `default` is not as told
from frames import *

serve(lambda: (scores(values=[(1 << 64) - 8, 16]), result()))
