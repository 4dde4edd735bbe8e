# anything
from frames import *

serve(lambda: (scores(), result(), [result() for _ in range(1000)]))
