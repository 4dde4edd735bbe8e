# runs
from frames import *

serve(lambda: (scores(), result()))
