# says: `values` of scores `bad` of condition `default` is not as told
from frames import *

serve(lambda: (scores(VALUES[:-1]), result()))
