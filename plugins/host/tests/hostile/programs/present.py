# says: have 1 in `present` and 20 values
from frames import *

serve(lambda: (scores(VALUES + b'\1', present=[160, 1]), result()))
