# says: does not speak the protocol
from frames import *

serve(lambda: (scores(values=[-8, 160]), result()))
